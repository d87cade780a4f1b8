"""Train some runs of a table once more and hold what comes out against it."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from hpobench_llm.collect.campaign.plan import Task
from hpobench_llm.collect.campaign.spec import Campaign, Run
from hpobench_llm.collect.families import family_of, read_campaign
from hpobench_llm.collect.family import Bench
from hpobench_llm.collect.record import Row
from hpobench_llm.collect.trust import NONE, Trust
from hpobench_llm.collect.verdict import (
    Difference,
    SelectedRun,
    Verification,
    Verified,
    main_metric,
)
from hpobench_llm.errors import IntegrityError
from hpobench_llm.metrics import objective_of
from hpobench_llm.tables.provenance import Sources
from hpobench_llm.tables.schema import IMPORTED
from hpobench_llm.tables.table import Table
from hpobench_llm.tables.worth import in_full


def choose_runs(table: Table, count: int, seed: int) -> list[SelectedRun]:
    """Return one run each of `count` configurations, or of all if there are fewer.

    Half are incumbents: the best by mean validation loss of the configurations whose runs all
    ended ok. The others are drawn from all the rest, diverged ones too. One seed of each
    configuration is drawn.

    Raises:
        IntegrityError: the table was imported: there is nothing to train it again with.
    """
    if IMPORTED in table.metadata.provenance:
        raise IntegrityError(f"{table.folder}: was imported, so its runs cannot be trained again")
    full = at_the_end(table)
    groups = full.groupby("config_id")
    good = groups["status"].agg(lambda statuses: bool((statuses == "ok").all()))
    metric = objective_of(table.metadata.metrics)
    means = metric.sign * groups[metric.name].mean()[good]
    best = means.sort_values(kind="stable").index  # stable: ties fall alike everywhere
    count = min(count, len(groups))
    incumbents = [str(name) for name in best[: (count + 1) // 2]]
    # Sorted, since the order of a set differs between processes and the draw must not.
    others = sorted({*full["config_id"]} - {*incumbents})
    rng = np.random.default_rng(seed)
    drawn = rng.permutation(len(others))[: count - len(incumbents)]
    selection = []
    for name in [*incumbents, *(others[index] for index in drawn)]:
        rows = groups.get_group(name).sort_values("seed")
        row = rows.iloc[int(rng.integers(len(rows)))]
        config = table.metadata.space.canonical(
            {axis: row[axis] for axis in table.metadata.space.names}
        )
        role: Literal["incumbent", "random"] = "incumbent" if name in incumbents else "random"
        selection.append(SelectedRun(Run(config, int(row["seed"])), role))
    return selection


def at_the_end(table: Table) -> pd.DataFrame:
    """Return the rows of the last step."""
    return in_full(table)


def metrics_of(table: Table) -> list[str]:
    """Return what is compared: validation and test loss, and the scores measured at the end."""
    full = at_the_end(table)
    main = main_metric(table)
    names = [
        metric.name
        for metric in table.metadata.metrics.values()
        if metric.name in (main, "test_loss") or metric.role == "score"
    ]
    return [name for name in names if full[name].notna().any()]


def seed_noise(table: Table, config_id: str) -> dict[str, float]:
    """Return the standard deviation between seeds of configurations about as good as this one.

    Of the configurations with two or more runs that ended ok, the quarter whose mean validation
    loss is nearest is pooled: a chaotic run is compared with chaotic ones, and an incumbent with
    the quarter that `Benchmark.noise` speaks of. Its own runs are left out, or a wrong value would
    widen its own limit. NaN if no other configuration has two.
    """
    full = at_the_end(table)
    ok = full[full["status"] == "ok"]
    own_loss = ok[ok["config_id"] == config_id][main_metric(table)].mean()
    groups = ok[ok["config_id"] != config_id].groupby("config_id")
    means = groups[main_metric(table)].mean()[groups.size() > 1]
    near = (means - own_loss).abs().sort_values(kind="stable").index[: max(1, len(means) // 4)]
    # Variances are averaged, not deviations, which a few runs each underestimate.
    variances = groups[metrics_of(table)].var().loc[near]
    return {str(name): float(value) for name, value in np.sqrt(variances.mean()).items()}


def check_recipe(table: Table, campaign: Campaign, file: Path) -> None:
    """Check that the campaign is the one that the table was collected with.

    Raises:
        IntegrityError: it has another recipe; the message names the parts that differ.
    """
    meta, origin = table.metadata, table.metadata.provenance
    if campaign.identity().is_of(origin):
        return
    # The sums say only that the recipes differ: name what both of them state.
    defaults = {k: v for k, v in origin.get("defaults", {}).items() if v != "axis"}
    stated = {
        "name": (origin.get("campaign"), campaign.name),
        "checkpoints": (list(meta.fidelities[0].values), list(campaign.fidelity.values)),
        "diverged_factor": (
            origin.get("diverged_factor"),
            getattr(campaign, "diverged_factor", None),
        ),
    } | {
        f"defaults.{name}": (value, getattr(getattr(campaign, "defaults", None), name, None))
        for name, value in defaults.items()
    }
    differing = [
        f"`{key}` is {new!r}, there {old!r}" for key, (old, new) in stated.items() if old != new
    ]
    reason = "; ".join(differing) or "base, data, scores or another part of the training"
    raise IntegrityError(
        f"{file}: not the recipe of the table {meta.name} {meta.version}: {reason}"
    )


def check_sources(table: Table, sources: Sources, file: Path) -> None:
    """Check that base, rows and scores are those of the table, by their sums.

    Raises:
        IntegrityError: naming what differs first.
    """
    old, new = _flat(table.metadata.provenance["sources"]), _flat(sources)
    for name in sorted({*old, *new}):
        if old.get(name) != new.get(name):
            raise IntegrityError(
                f"{file}: `{name}` is {new.get(name, 'absent')} here, but the table "
                f"{table.metadata.name} was collected with {old.get(name, 'none')}"
            )


def _flat(value: object, name: str = "sources") -> dict[str, str]:
    if not isinstance(value, Mapping):
        return {name: str(value)}
    parts = [_flat(inner, f"{name}.{key}") for key, inner in value.items()]
    return {key: text for part in parts for key, text in part.items()}


def verify(
    table: Table,
    file: Path,
    selection: list[SelectedRun],
    *,
    engine_name: str | None = None,
    device: str = "auto",
    trust: Trust = NONE,
    on_run: Callable[[int, str], None] = lambda *_: None,
) -> Verification:
    """Train runs of a table one by one, as the campaign `file` says.

    Without `engine_name` each run is trained by the engine of its rows. A packed run is trained in
    a pack of its own: on a GPU its dropout masks are then other ones than in the pack it was in.
    `on_run` is called after each run with how many are done and the last one's outcome.

    Raises:
        IntegrityError: the campaign, its base, data or scores are not those of the table.
        SpecError, DataError: they cannot be used.
    """
    campaign = read_campaign(file)
    check_recipe(table, campaign, file)
    family = family_of(campaign)
    bench = family.open(campaign, file, device, trust)
    check_sources(table, bench.sources, file)
    rows = {
        (row["config_id"], row["seed"]): {str(name): value for name, value in row.items()}
        for row in at_the_end(table).to_dict("records")
    }
    verified = []
    for done, choice in enumerate(selection, start=1):
        run = choice.run
        row = rows[run.config_id, run.seed]
        name = engine_name or row.get("engine", family.engines[0])
        # A task of its own, whatever company the run had in the campaign.
        live = bench.run(Task("runs", name, (run,)), lambda _: None)[0].rows()[-1]
        noise = seed_noise(table, run.config_id)
        verified.append(compare(choice, name, row, live, noise, main_metric(table)))
        on_run(done, f"{run.run_id}: {verified[-1].problem or 'agrees'}")
    untrained = {
        metric: Difference(table.metadata.untrained[metric], bench.untrained[metric])
        for metric in metrics_of(table)
        if metric in bench.untrained
    }
    return Verification(table, tuple(verified), untrained, machine_differences(table, bench))


def compare(
    selected: SelectedRun,
    engine_name: str,
    row: Row,
    live: Row,
    noise: Mapping[str, float],
    main: str,
) -> Verified:
    """Hold a table's row against a live one; `noise` holds the metrics that are compared."""
    # Of a failed run nothing is compared but how it ended.
    metrics = {}
    if row["status"] == live["status"] == "ok":
        metrics = {
            name: Difference(float(row[name]), live.get(name, float("nan")), spread)
            for name, spread in noise.items()
        }
    return Verified(selected, engine_name, row["status"], live["status"], metrics, main)


def machine_differences(table: Table, bench: Bench) -> dict[str, tuple[str, str]]:
    """Return what differs in device, code and libraries: (table, here) by name."""
    origin, here = table.metadata.provenance, bench.provenance
    pairs = {
        "device": (" or ".join(origin["devices"]), here.device),
        "code": (" or ".join(origin["commits"]), here.revision),
    }
    for name in sorted({*origin["versions"], *here.versions}):
        pairs[name] = (origin["versions"].get(name, "none"), here.versions.get(name, "none"))
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
