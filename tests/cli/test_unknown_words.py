"""A word that a command line does not know is answered with the nearest that it does."""

import pytest

from hpobench_llm.cli import collect, main


@pytest.mark.parametrize(
    ("command", "entered", "meant"),
    [
        (
            main,
            ["repaly", "study.toml"],
            "argument COMMAND: unknown 'repaly'; did you mean 'replay'?",
        ),
        (main, ["init", "campain"], "argument KIND: unknown 'campain'; did you mean 'campaign'?"),
        (main, ["ls", "optimisers"], "unknown 'optimisers'; did you mean 'optimizers'?"),
        (
            collect.main,
            ["c.toml", "--out", "o", "--device", "cdua"],
            "argument --device: unknown 'cdua'; did you mean 'cuda'?",
        ),
    ],
)
def test_the_nearest_word_is_named(command, entered, meant, capsys):
    with pytest.raises(SystemExit) as ended:
        command(entered)
    assert ended.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert meant in err
