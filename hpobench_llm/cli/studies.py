"""`replay` and `compare`: studies."""

import argparse
import json
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from hpobench_llm.artefacts import make_folder
from hpobench_llm.console import say
from hpobench_llm.errors import HpobenchError
from hpobench_llm.progress import Progress

if TYPE_CHECKING:
    from hpobench_llm.report.live_study import LiveStudy
    from hpobench_llm.studies.study import OpenStudy


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the commands."""
    replay = commands.add_parser(
        "replay",
        help="run a study; started again, it continues",
        description="Run a study. Started again, it runs what is missing and what has failed; "
        "with more seeds, optimizers, benchmarks or budget in its file, what is new alone.",
        epilog="Exit status: 0 all replays are done, 1 some have failed, 2 an error.",
    )
    replay.add_argument("study", type=Path, metavar="STUDY.toml")
    replay.add_argument("--out", type=Path, required=True, metavar="DIR")
    replay.add_argument(
        "--processes",
        type=int,
        metavar="N",
        help="replays at a time; default: one a core, of a study that trains one",
    )
    replay.add_argument("--executor", choices=("local", "ray"), default="local")
    replay.add_argument(
        "--address",
        metavar="HOST:PORT",
        help="of a Ray cluster; default: this machine's, or one that is started",
    )
    live = replay.add_argument_group("of a study that trains (a live benchmark)")
    live.add_argument(
        "--tensorboard", type=Path, metavar="DIR", help="tell TensorBoard of each trial"
    )
    live.add_argument(
        "--wandb", metavar="PROJECT", help="tell Weights & Biases; WANDB_MODE=offline works"
    )
    replay.set_defaults(run=_replay)

    compare = commands.add_parser("compare", help="rank a study's optimizers, write the report")
    compare.add_argument("folder", type=Path, metavar="DIR")
    compare.add_argument(
        "--reference",
        choices=("front", "worst"),
        default="front",
        help="of the hypervolume: a tenth of the front's range beyond it, or the metrics' worst",
    )
    compare.add_argument(
        "--figures",
        type=Path,
        metavar="DIR",
        help="write the pictures for a paper too: PDF, SVG and PNG, as a matplotlibrc says",
    )
    compare.add_argument(
        "--mine",
        action="append",
        metavar="OPTIMIZER",
        help="mark it in the report as your own; default: those that other packages bring",
    )
    compare.add_argument("--json", action="store_true", help="the comparison as JSON on stdout")
    compare.set_defaults(run=_compare)


def _replay(options: argparse.Namespace) -> int:
    from hpobench_llm.studies.checks import read_study
    from hpobench_llm.studies.execution import run_study
    from hpobench_llm.studies.outlook import outlook

    if options.processes is not None and options.processes < 1:
        raise HpobenchError(f"--processes must be at least 1, got {options.processes}")
    if options.address is not None and options.executor != "ray":
        raise HpobenchError(f"--address {options.address} needs --executor ray")
    say(f"replay: {options.study}: opening what it runs on")
    study = read_study(options.study)
    # After the study is checked: a wrong file must leave no folder behind.
    make_folder(options.out, "--out")
    follows = study.spec.trains and options.executor == "local"
    if not follows and (options.tensorboard or options.wandb):
        raise HpobenchError(
            "--tensorboard and --wandb follow a study with a live benchmark on this machine"
        )
    total = len(study.spec.cells())
    for line in outlook(study):
        say(f"replay: {line}")
    with ExitStack() as stack:
        live = stack.enter_context(_followed(study, options)) if follows else None
        progress = stack.enter_context(Progress(total, f"replay {study.spec.name}"))

        def look() -> None:
            if live is not None:
                live.look()
                progress.advance_to(progress.done, live.best())

        outcome = run_study(
            study,
            options.out,
            processes=options.processes,
            ray_address=(options.address or "auto") if options.executor == "ray" else None,
            on_done=lambda done, _, text: progress.advance_to(done, text),
            on_note=lambda text: say(f"replay: {text}"),
            on_wait=look,
            on_begin=live.begin if live else lambda: None,
        )
    print("\n".join(outcome.lines(total, options.out)))
    if live is not None:
        print("\n".join(live.lines()))
    return 1 if outcome.failed else 0


def _followed(study: "OpenStudy", options: argparse.Namespace) -> "LiveStudy":
    """Return the follower of a live study, with the trackers that the options name."""
    from hpobench_llm.report.live_study import LiveStudy, Tracker

    trackers: list[Tracker] = []
    if options.tensorboard is not None:
        from hpobench_llm.adapters.tensorboard import TensorBoard

        trackers.append(TensorBoard(options.tensorboard))
    if options.wandb is not None:
        from hpobench_llm.adapters.wandb import WeightsAndBiases

        trackers.append(WeightsAndBiases(options.wandb, options.out))
    live = LiveStudy(study, options.out, trackers)
    say(f"replay: it trains; trials.csv and {live.page} grow while it runs")
    return live


def _compare(options: argparse.Namespace) -> int:
    from hpobench_llm.report.compare import compare
    from hpobench_llm.report.web.vega import bundle

    if options.figures is not None:  # before the minutes that a large study takes
        make_folder(options.figures, "--figures")
    result = compare(options.folder, reference=options.reference, mine=options.mine)
    if not bundle():
        say("compare: the report's figures are drawings; they answer with the extra `page`")
    if options.figures is not None:
        from hpobench_llm.report.figures import write_figures

        files = write_figures(result, options.figures)
        say(f"compare: {len(files)} figures in {options.figures}")
    print(json.dumps(result.comparison.to_json(), indent=2) if options.json else result.summary())
    return 0
