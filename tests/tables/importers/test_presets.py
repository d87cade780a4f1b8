"""What a tracker holds becomes a spec that imports as it stands, and that a person may edit.

Optuna's storages are made by Optuna. The others are written by hand in the shape of MLflow 3.17's
CSV, tables and folders, and of the documented exports of Weights & Biases.
"""

import json
import sqlite3
from contextlib import closing

import numpy as np
import pytest

from hpobench_llm.cli import main
from hpobench_llm.errors import DataError, HpobenchError, UnknownNameError
from hpobench_llm.space import Categorical, Float, Integer, Ordinal
from hpobench_llm.tables.importers.command import import_tables, propose


@pytest.fixture
def bring(tmp_path):
    """Return a function that proposes a spec, imports it, and gives the tables and the notes."""

    def made(**source):
        spec = tmp_path / "my runs.toml"
        files, notes = propose(spec, **source)
        assert files == [spec, tmp_path / "my runs.jsonl"]
        tables = import_tables("generic", spec=spec, out=tmp_path / "out")
        return tables, " ".join(notes)

    return made


# Optuna


@pytest.fixture
def optuna():
    library = pytest.importorskip("optuna")
    library.logging.set_verbosity(library.logging.ERROR)
    return library


def objective(optuna, trial):
    lr = trial.suggest_float("lr", 1e-5, 1e-1, log=True)
    kind = trial.suggest_categorical("kind", ["sgd", "adam"])
    width = trial.suggest_int("width", 8, 64, log=True)
    batch = trial.suggest_categorical("batch", [32, 16])
    momentum = trial.suggest_float("momentum", 0.1, 0.9) if kind == "sgd" else 0.5
    for step in range(1, 4):
        trial.report(lr + momentum + width / step, step)
        if trial.number % 5 == 1 and step == 2:
            raise optuna.TrialPruned
        if trial.number % 7 == 3:
            raise RuntimeError("broken")
    return lr + momentum + width / 3 + batch


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["url", "file", "journal"])
def test_an_optuna_study_with_curves(bring, tmp_path, optuna, kind):
    path = tmp_path / "study.db"
    storage = f"sqlite:///{path}"
    if kind == "journal":
        backend = optuna.storages.journal.JournalFileBackend(str(path))
        storage = optuna.storages.JournalStorage(backend)
    sampler = optuna.samplers.RandomSampler(seed=0)
    study = optuna.create_study(storage=storage, study_name="s", sampler=sampler)
    study.optimize(lambda t: objective(optuna, t), n_trials=20, catch=(RuntimeError,))
    trials = study.trials
    source = f"sqlite:///{path}" if kind == "url" else str(path)
    (table,), _ = bring(optuna=source)
    about = table.metadata.provenance["imported"]["axes"]["momentum"]
    assert about == {"only_if": {"params.kind": ["sgd"]}, "otherwise": 0.1}
    assert table.metadata.space.dimensions == (
        Float("lr", 1e-5, 1e-1, log=True),
        Categorical("kind", ("sgd", "adam")),
        Integer("width", 8, 64, log=True),
        Ordinal("batch", (16, 32)),
        Float("momentum", 0.1, 0.9),
    )
    rows = table.frame.set_index(["lr", "step"])
    states = dict.fromkeys(("COMPLETE", "PRUNED", "FAIL"), 0)
    for trial in trials:
        states[trial.state.name] += 1
        curve = trial.intermediate_values
        measured = rows.loc[trial.params["lr"]].query("status == 'ok'")
        if trial.state.name == "FAIL":
            assert rows.loc[(trial.params["lr"], 3), "status"] == "failed"
            continue
        assert measured["intermediate"].to_dict() == curve
        if trial.state.name == "COMPLETE":
            assert measured.loc[3, "value"] == trial.value
            seconds = measured.loc[3, "train_seconds"]
            assert seconds == pytest.approx(trial.duration.total_seconds())
        else:
            assert list(measured.index) == [1, 2]
    assert min(states.values()) >= 2


@pytest.mark.slow
def test_an_optuna_study_of_two_objectives_and_one_of_several(bring, tmp_path, optuna):
    storage = f"sqlite:///{tmp_path / 'study.db'}"
    study = optuna.create_study(
        storage=storage, study_name="two", directions=["minimize", "maximize"]
    )
    study.set_metric_names(["seed", "acc"])  # names that a table has itself
    study.enqueue_trial({"x": 0.25, "n": None})
    study.optimize(
        lambda t: (
            t.suggest_float("x", 0, 1),
            float(len(str(t.suggest_categorical("n", [None, "a"])))),
        ),
        n_trials=6,
    )
    optuna.create_study(storage=storage, study_name="other")
    with pytest.raises(DataError, match="several studies: --study may be"):
        bring(optuna=storage)
    with pytest.raises(UnknownNameError, match="did you mean 'two'"):
        bring(optuna=storage, study="twoo")
    (table,), _ = bring(optuna=storage, study="two")
    assert list(table.metadata.metrics) == ["seed_", "acc"]
    assert table.metadata.metrics["acc"].direction == "maximize"
    assert table.metadata.fidelities == ()
    row = table.frame.set_index("x").loc[0.25]
    assert (row["n"], row["seed_"], row["acc"]) == ("None", 0.25, 4.0)


def test_what_is_no_optuna_storage(bring, tmp_path, optuna):
    for absent in (str(tmp_path / "absent.db"), f"sqlite:///{tmp_path}/absent.db?timeout=5"):
        with pytest.raises(DataError, match="no such file"):
            bring(optuna=absent)
    assert not (tmp_path / "absent.db").exists()
    (tmp_path / "text").write_text("no journal")
    for source in (tmp_path / "text", f"sqlite:///{tmp_path}/text", "nosuch://x"):
        with pytest.raises(DataError, match=r"cannot be read as an Optuna storage|holds no study"):
            bring(optuna=str(source))


# MLflow

MLFLOW_CSV = """run_id,experiment_id,status,start_time,end_time,metrics.acc,metrics.val_loss,\
params.lr,params.opt,params.depth,params.seed,tags.mlflow.runName,tags.mlflow.parentRunId
c3,1,FAILED,2026-01-01 21:12:49.500,2026-01-01 21:12:50.000,,,1.0,sgd,None,0,x,
c2,1,FINISHED,2026-01-01 21:12:49.000,2026-01-01 21:12:50.500,0.6,0.3,0.01,adam,5,1,f1,p
c1,1,FINISHED,2026-01-01 21:12:49.000,2026-01-01 21:12:50.000,0.5,0.4,0.01,adam,5,0,f0,p
c0,1,RUNNING,2026-01-01 21:12:49.000,,,,0.1,sgd,None,0,now,
p,1,FINISHED,2026-01-01 21:12:48.000,2026-01-01 21:12:51.000,,,0.01,,,,parent,
"""


def test_mlflow_s_search_runs_as_csv(bring, tmp_path):
    (tmp_path / "runs.csv").write_text(MLFLOW_CSV)
    (table,), _ = bring(mlflow=tmp_path / "runs.csv")
    columns = ["lr", "opt", "depth", "seed", "status", "val_loss", "acc", "train_seconds"]
    np.testing.assert_array_equal(
        table.frame[columns].to_numpy(dtype=object).astype(str),
        [
            ["0.01", "adam", "5", "0", "ok", "0.4", "0.5", "1.0"],
            ["0.01", "adam", "5", "1", "ok", "0.3", "0.6", "1.5"],
            ["1.0", "sgd", "None", "0", "failed", "nan", "nan", "0.5"],
        ],
    )
    assert list(table.metadata.metrics) == ["val_loss", "acc"]
    dropped = [entry["reason"] for entry in table.metadata.provenance["imported"]["dropped"]]
    assert dropped == ["`is_parent` must be none of 'true'", "their status is 'RUNNING'"]
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="no column `run_id`"):
        bring(mlflow=tmp_path / "other.csv")


RUNS = [  # run, lr, seed, curve of (step, val_loss), status
    ("r0", "0.1", "0", [(0, 2.0), (5, 1.0)], "FINISHED"),
    ("r1", "0.1", "1", [(0, 2.5), (5, 1.5), (5, 1.25)], "FINISHED"),  # step 5 logged again
    ("r2", "0.3", "0", [(0, 3.0), (5, "nan")], "FINISHED"),
    ("r3", "0.3", "1", [(0, 4.0)], "FAILED"),
]


def database(path):
    with closing(sqlite3.connect(path)) as base:
        base.executescript(
            "CREATE TABLE experiments (experiment_id INTEGER, name TEXT);"
            "CREATE TABLE runs (run_uuid TEXT, name TEXT, status TEXT, start_time BIGINT,"
            " end_time BIGINT, lifecycle_stage TEXT, experiment_id INTEGER);"
            "CREATE TABLE params (key TEXT, value TEXT, run_uuid TEXT);"
            "CREATE TABLE metrics (key TEXT, value REAL, timestamp BIGINT, run_uuid TEXT,"
            " step BIGINT, is_nan BOOLEAN);"
            "CREATE TABLE tags (key TEXT, value TEXT, run_uuid TEXT);"
            "INSERT INTO experiments VALUES (1, 'tune');"
            "INSERT INTO runs VALUES ('gone', 'g', 'FINISHED', 0, 1, 'deleted', 1);"
        )
        for start, (run, lr, seed, curve, status) in enumerate(RUNS):
            base.execute(
                "INSERT INTO runs VALUES (?, ?, ?, ?, ?, 'active', 1)",
                (run, run, status, start, start + 1500),
            )
            base.execute("INSERT INTO params VALUES ('lr', ?, ?)", (lr, run))
            base.execute("INSERT INTO params VALUES ('seed', ?, ?)", (seed, run))
            for time, (step, value) in enumerate(curve):
                nan = value == "nan"
                row = ("val_loss", 0.0 if nan else value, time, run, step, nan)
                base.execute("INSERT INTO metrics VALUES (?, ?, ?, ?, ?, ?)", row)
        base.commit()


def folders(path):
    (path / "77").mkdir(parents=True)
    (path / "77/meta.yaml").write_text("experiment_id: '77'\nname: tune\n")
    codes = {"FINISHED": 3, "FAILED": 4}
    for run, lr, seed, curve, status in RUNS:
        folder = path / "77" / run
        for part in ("params", "metrics", "tags"):
            (folder / part).mkdir(parents=True)
        (folder / "meta.yaml").write_text(
            f"end_time: 1500\nlifecycle_stage: active\nrun_id: {run}\nstart_time: 0\n"
            f"status: {codes[status]}\ntags: []\nuser_id: ''\n"
        )
        (folder / "params/lr").write_text(lr)
        (folder / "params/seed").write_text(seed)
        lines = "".join(f"{t} {value} {step}\n" for t, (step, value) in enumerate(curve))
        (folder / "metrics/val_loss").write_text(lines)


@pytest.mark.parametrize("make", [database, folders])
def test_mlflow_s_database_and_folders(bring, tmp_path, make):
    make(tmp_path / "mlruns")
    (table,), _ = bring(mlflow=tmp_path / "mlruns")
    columns = ["lr", "seed", "step", "status", "val_loss", "train_seconds"]
    np.testing.assert_array_equal(
        table.frame[columns].to_numpy(dtype=object).astype(str),
        [
            ["0.1", "0", "0", "ok", "2.0", "nan"],
            ["0.1", "0", "5", "ok", "1.0", "1.5"],
            ["0.1", "1", "0", "ok", "2.5", "nan"],
            ["0.1", "1", "5", "ok", "1.25", "1.5"],
            ["0.3", "0", "0", "ok", "3.0", "nan"],
            ["0.3", "0", "5", "diverged", "nan", "1.5"],
            ["0.3", "1", "0", "failed", "4.0", "1.5"],
            ["0.3", "1", "5", "failed", "nan", "1.5"],
        ],
    )


def test_a_name_with_a_new_line_stays_a_name(bring, tmp_path):
    folders(tmp_path / "mlruns")
    for run in (tmp_path / "mlruns/77").glob("r*"):
        (run / 'params/x\nlicence = "MIT"').write_text("1")
    (table,), notes = bring(mlflow=tmp_path / "mlruns")
    assert 'Parameters that never vary are left out: x\nlicence = "MIT".' in notes
    assert table.metadata.licence == "not stated"


def test_a_damaged_text_of_a_database_is_one_line(bring, tmp_path):
    database(tmp_path / "mlflow.db")
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as base:
        base.execute("UPDATE params SET value = CAST(X'ff' AS TEXT)")
        base.commit()
    with pytest.raises(DataError, match="cannot be read as MLflow's database"):
        bring(mlflow=tmp_path / "mlflow.db")


def test_what_is_no_mlflow(bring, tmp_path):
    (tmp_path / "empty").mkdir()
    with closing(sqlite3.connect(tmp_path / "other.db")) as base:
        base.execute("CREATE TABLE a (b)")
        base.commit()
    for name, words in (("absent", "no such"), ("empty", "no runs"), ("other.db", "database")):
        with pytest.raises(DataError, match=words):
            bring(mlflow=tmp_path / name)


# Weights & Biases

PAGE = """"Name","State","User","Runtime","lr","loss_fn","seed","GPU Type","val_loss","train/acc"
"calm-1","finished","me","61","0.1","mse","0","A100","0.5","0.75"
"calm-2","finished","me","62","0.01","l1","0","A100","0.4","0.5"
"calm-3","crashed","me","7","0.1","l1","0","A100","",""
"calm-4","running","me","7","0.2","l1","0","A100","NaN",""
"""


def test_the_runs_table_of_the_page(bring, tmp_path):
    (tmp_path / "wandb.csv").write_text(PAGE)
    (table,), notes = bring(wandb=tmp_path / "wandb.csv")
    assert "guessed from their names" in notes
    assert table.metadata.space.names == ("lr", "loss_fn")
    assert {m.name: m.direction for m in table.metadata.metrics.values()} == {
        "val_loss": "minimize",
        "train/acc": "maximize",
    }
    columns = ["lr", "loss_fn", "status", "val_loss", "train_seconds"]
    np.testing.assert_array_equal(
        table.frame[columns].to_numpy(dtype=object).astype(str),
        [
            ["0.01", "l1", "ok", "0.4", "62.0"],
            ["0.1", "l1", "failed", "nan", "7.0"],
            ["0.1", "mse", "ok", "0.5", "61.0"],
        ],
    )


def test_the_api_s_table_and_histories(bring, tmp_path):
    rows = ["summary,config,name"]
    for name, lr, loss in (("a", 0.1, 1.0), ("b", 0.2, float("nan"))):
        summary = {"val_loss": loss, "_step": 2, "best": {"f1": lr}, "_wandb": {"x": 1}}
        config = {"opt": {"lr": lr}, "layers": [1, 2], "seed": int(lr * 10)}
        rows.append(",".join(f'"{value}"' for value in (summary, config, name)))
        history = ["", "0,0,2.0,,5", "1,1,,0.5,6", f"2,2,{loss},,7"]
        history[0] = ",_step,val_loss,train_loss,_runtime"
        (tmp_path / f"{name}.csv").write_text("\n".join(history) + "\n")
    (tmp_path / "project.csv").write_text("\n".join(rows) + "\n")
    (table,), _ = bring(wandb=tmp_path / "project.csv", history=tmp_path)
    frame = table.frame
    assert table.metadata.space.names == ("opt.lr",)
    assert table.metadata.fidelities[0].values == (0, 1, 2)
    np.testing.assert_array_equal(
        frame[["opt.lr", "step", "val_loss", "train_loss", "best.f1", "train_seconds"]],
        [
            [0.1, 0, 2, np.nan, np.nan, 5],
            [0.1, 1, np.nan, 0.5, np.nan, 6],
            [0.1, 2, 1, np.nan, 0.1, 7],
            [0.2, 0, 2, np.nan, np.nan, 5],
            [0.2, 1, np.nan, 0.5, np.nan, 6],
            [0.2, 2, np.nan, np.nan, 0.2, 7],
        ],
    )
    assert frame["status"].tolist() == ["ok"] * 5 + ["diverged"]
    (tmp_path / "b.csv").unlink()
    with pytest.raises(DataError, match=r"has no history b with \.csv"):
        propose(tmp_path / "n.toml", wandb=tmp_path / "project.csv", history=tmp_path)


@pytest.mark.parametrize(
    "cell", ["__import__('os').getcwd()", "[x for x in ()]", "1", "{'a': b}", "(" * 5000, "{**{}}"]
)
def test_nothing_of_a_cell_is_run(tmp_path, cell):
    (tmp_path / "p.csv").write_text(f'summary,config,name\n"{{}}","{cell}",a\n')
    with pytest.raises(DataError, match=r"p\.csv"):
        propose(tmp_path / "n.toml", wandb=tmp_path / "p.csv")


# The command line


def test_the_command_line_writes_and_never_overwrites(tmp_path, capsys):
    (tmp_path / "wandb.csv").write_text(PAGE)
    spec = tmp_path / "new.toml"
    arguments = ["import", "generic", "--from-wandb", str(tmp_path / "wandb.csv")]
    assert main([*arguments, "--spec", str(spec)]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines() == [str(spec), str(tmp_path / "new.jsonl")]
    assert f"import generic --spec {spec}" in err
    assert "# the direction is guessed from the name" in spec.read_text()
    assert len(list(map(json.loads, (tmp_path / "new.jsonl").read_text().splitlines()))) == 4
    before = spec.read_bytes()
    assert main([*arguments, "--spec", str(spec)]) == 2
    assert "exists and is not overwritten" in capsys.readouterr().err
    assert spec.read_bytes() == before
    assert main(["import", "generic", "--spec", str(spec), "--out", str(tmp_path / "out")]) == 0
    capsys.readouterr()
    for wrong in (
        arguments,
        [*arguments, "--spec", "x.toml", "--study", "s"],
        [*arguments, "--spec", "x.toml", "--out", "o"],
        ["import", "steplaw", *arguments[2:]],
        ["import", "generic", "--spec", str(spec), "--history", "h"],
    ):
        assert main(wrong) == 2
        assert capsys.readouterr().err.count("\n") == 1


def test_a_tracker_without_runs(tmp_path):
    (tmp_path / "w.csv").write_text("Name,State,lr,loss\na,finished,1,1\n")
    with pytest.raises(HpobenchError, match="holds no hyperparameters that vary"):
        propose(tmp_path / "n.toml", wandb=tmp_path / "w.csv")
    assert not (tmp_path / "n.toml").exists()
