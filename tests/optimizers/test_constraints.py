"""Methods that take constraints: where they end is known in closed form."""

import math
from contextlib import closing
from dataclasses import replace

import pytest

from hpobench_llm import load, replay
from hpobench_llm.benchmarks.toy import ToyBenchmark, toy_sphere
from hpobench_llm.constraints import Constraint
from hpobench_llm.evaluation import Evaluation
from hpobench_llm.metrics import Metric
from hpobench_llm.optimizers.barrier import relative_excesses
from hpobench_llm.optimizers.base import Optimizer, Suggestion
from hpobench_llm.optimizers.registry import list_optimizers
from hpobench_llm.space import Float, Ordinal, Space
from hpobench_llm.testing.benchmarks import sphere
from hpobench_llm.testing.drive import build_for

pytestmark = pytest.mark.usefixtures("short_climbs")
ENTRIES = list_optimizers()
# What `llm` makes of them is the model's; a stand-in looks at the objective alone.
TAKING = [name for name, entry in ENTRIES.items() if entry.constraints and name != "llm"]
COSTLY = ("gps", "ehvi", "nomad", "nomad-eb", "nomad-mo")
SLOW = [pytest.param(n, marks=pytest.mark.slow) if n in COSTLY else n for n in TAKING]
# What costs most searches one kind of space a promise: ranges here, grids there.
RANGES = [pytest.param(n, "real", marks=pytest.mark.slow) for n in COSTLY]
GRIDS = [pytest.param(n, "grid", marks=pytest.mark.slow) for n in COSTLY]
CHEAP = [(n, kind) for n in TAKING if n not in COSTLY for kind in ("real", "grid")]
BUDGET = {
    "nsga2": 300,
    "nomad": 40,
    "nomad-eb": 40,
    "nomad-mo": 60,
    "ehvi": 24,
    "gps": 30,
    "cei": 50,
}
SEEDS = {"gps": (0, 7)}  # of which one starts where the bound is kept, and one where it is not


class Halfplane(ToyBenchmark):
    """A toy whose `reach` is the sum of the unit encodings.

    On two axes the loss is lowest at (0.3, 0.3); with a reach of at least 1, at (0.5, 0.5).
    """

    def __init__(self, space, unmeasured=lambda config: False):
        super().__init__("halfplane", space)
        reach = Metric(name="reach", unit="1", direction="maximize", worst=0.0)
        far = Metric(name="far", unit="1", direction="minimize", worst=10.0)
        self.metrics = self.metrics | {"reach": reach, "far": far}
        self.unmeasured = unmeasured

    def query(self, config, *, fidelity=None, seed=None, metrics=None):
        told = super().query(config, fidelity=fidelity, metrics=("val_loss", "score_toy"))
        unit = self.space.to_unit([config])
        far = float(((unit - 0.9) ** 2).sum())
        reach = math.nan if self.unmeasured(config) else float(unit.sum())
        values = told.metrics | {"reach": reach, "far": far}
        return replace(told, metrics=values, constraints=self._excesses(values))


REAL = Space((Float("x", 0.0, 1.0), Float("y", 0.0, 1.0)))
GRID = Space(tuple(Ordinal(n, tuple(range(31))) for n in ("x", "y")))
SPACES = {"real": REAL, "grid": GRID}
OPTIMUM = 2 * 0.2**2 + 1 / 8


def evaluations(problem, name, *, seed=0, budget=None):
    if ENTRIES[name].distribution and ENTRIES[name].installed is None:
        pytest.skip(f"{ENTRIES[name].distribution} is not installed")
    objectives = ["val_loss"] if ENTRIES[name].objectives == "one" else ["val_loss", "far"]
    trajectory = replay(
        problem, name, budget=budget or BUDGET[name], seed=seed, objectives=objectives
    )
    rows = trajectory.to_frame()[list(problem.space.names)].to_dict("records")
    return [problem.query(row) for row in rows]


@pytest.mark.parametrize(("name", "kind"), [*CHEAP, *RANGES])
def test_the_best_feasible_trial_is_near_the_constrained_optimum(name, kind):
    problem = Halfplane(SPACES[kind]).constrained({"reach": 1.0})
    starts = set()
    for seed in SEEDS.get(name, (0, 1)):
        told = evaluations(problem, name, seed=seed)
        starts.add(told[0].feasible)
        best = min(e.metrics["val_loss"] for e in told if e.feasible)
        assert OPTIMUM - 1e-9 <= best <= OPTIMUM + 0.03  # 0.08 below it is infeasible
        assert any(not e.feasible for e in told)  # the constraint is active
    assert starts == {False, True}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["nomad", "nomad-eb"])  # they stay where they have converged
def test_the_bound_is_searched_for_and_not_only_avoided(name):
    # With the loss alone most trials are near 0.3, on the wrong side.
    free = [e.metrics["reach"] for e in evaluations(Halfplane(REAL), name)]
    bound = Halfplane(REAL).constrained({"reach": 1.0})
    held = [e.metrics["reach"] for e in evaluations(bound, name)]
    assert sum(r >= 1 for r in free[-30:]) < 5 < 10 < sum(r >= 1 for r in held[-30:])


@pytest.mark.parametrize("name", SLOW)
def test_where_nothing_is_feasible_the_constraint_is_broken_least(name):
    problem = Halfplane(GRID).constrained({"reach": 3.0})
    # On a grid it has converged by then, and looks for a new point for seconds.
    told = evaluations(problem, name, budget=30 if name == "nomad-mo" else None)
    assert not any(e.feasible for e in told)
    assert max(e.metrics["reach"] for e in told) > 1.9


@pytest.mark.parametrize(("name", "kind"), [*CHEAP, *GRIDS])
def test_what_was_not_measured_is_survived(name, kind):
    space, budget = SPACES[kind], min(BUDGET[name], 50) if name not in COSTLY else 18
    limit = space.dimensions[0].from_unit(0.7)  # the draw of seed 0 is 0.64, that of seed 1 0.51
    problem = Halfplane(space, lambda config: config["x"] < limit).constrained({"reach": 1.0})
    told = evaluations(problem, name, seed=0, budget=budget)
    assert len(told) == budget
    assert any(math.isinf(e.constraints["reach"]) for e in told)


@pytest.mark.parametrize("name", SLOW)
def test_what_was_not_measured_counts_as_infeasible(name):
    problem = Halfplane(REAL, lambda config: config["y"] < 0.6).constrained({"reach": 1.0})
    told = evaluations(problem, name, seed=1)  # starts at (0.51, 0.95)
    best = min(e.metrics["val_loss"] for e in told if e.feasible)
    assert best <= 0.1**2 + 0.3**2 + 1 / 8 + 0.05


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "quantity"), [("nomad", "peak_memory_bytes"), ("nomad-eb", "trainable_parameters")]
)
def test_a_bound_on_a_shipped_table(name, quantity):
    table = load("lora-nano")
    values = sorted(
        table.constrained({quantity: 0.0}).query_many(table.configurations())[
            f"constraint_{quantity}"
        ]
    )
    bound = values[len(values) // 4]  # a quarter of the configurations keeps it
    problem = table.constrained({quantity: float(bound)})
    told = evaluations(problem, name, budget=60)
    best = min(e.metrics["val_loss"] for e in told if e.feasible and e.status == "ok")
    ok = problem.query_many(problem.configurations())
    feasible = ok[(ok[f"constraint_{quantity}"] <= 0) & (ok["status"] == "ok")]["val_loss"]
    assert problem.optimum("val_loss")[1] <= best <= feasible.quantile(0.05)


@pytest.mark.parametrize("name", ENTRIES)
def test_the_registry_says_who_takes_constraints(name):
    entry = ENTRIES[name]
    if entry.distribution and entry.installed is None:
        pytest.skip(f"{entry.distribution} is not installed")
    with closing(build_for(name, sphere(), budget=5)) as optimizer:
        assert optimizer.takes_constraints == entry.constraints


class Blind(Optimizer):
    """Tries x = 0 and remembers what it was told."""

    def suggest(self, number):
        return Suggestion({"x": 0.0, "y": 0.0})

    def learn(self, trial, evaluation):
        self.told = evaluation


def test_who_does_not_take_them_is_told_that_the_trial_failed():
    problem = Halfplane(REAL).constrained({"reach": 1.0})
    loss = problem.metrics["val_loss"]
    optimizer = Blind(REAL, [loss], (), 1, 0, constraints=problem.constraints)
    trial = optimizer.ask()
    optimizer.tell(trial, problem.query(trial.config))
    assert optimizer.told.status == "failed"
    assert optimizer.told.loss(loss) == loss.worst


def test_without_constraints_both_barriers_are_one():
    assert evaluations(toy_sphere(), "nomad") == evaluations(toy_sphere(), "nomad-eb")


@pytest.mark.parametrize("name", ["nomad", "nomad-eb", "nomad-mo"])
def test_nomad_starts_where_the_design_breaks_the_constraints_least(name):
    problem = Halfplane(REAL).constrained({"reach": 1.8})
    objectives = ["val_loss"] if ENTRIES[name].objectives == "one" else ["val_loss", "far"]
    design = [{"x": x, "y": x} for x in (0.3, 0.8, 0.5)]
    found = replay(
        problem, name, budget=4, seed=0, objectives=objectives, initial=design
    ).to_frame()
    # 0.3 has the best loss; the first frame is a tenth of each range.
    assert found["x"][3] == pytest.approx(0.8, abs=0.15)
    assert found["y"][3] == pytest.approx(0.8, abs=0.15)


def test_excesses_have_no_units():
    bounds = (
        Constraint(name="memory", bound=4e9, unit="bytes"),
        Constraint(name="score", bound=-0.5, unit="1", direction="maximize"),
        Constraint(name="zero", bound=0.0, unit="s"),
    )

    def relative(*values):
        excesses = {c.name: c.excess(v) for c, v in zip(bounds, values, strict=True)}
        told = Evaluation(metrics={}, cost_seconds=1.0, constraints=excesses)
        return relative_excesses(bounds, told)

    assert relative(6e9, -1.0, 3.0) == [0.5, 1.0, 3.0]
    assert relative(4e9, -0.5, -3.0) == [0.0, 0.0, -3.0]
    assert relative(math.nan, -0.5 - 1e-9, 1e9) == [1e6, 1e-6, 1e6]
    assert relative(-math.inf, math.inf, -1e9) == [-1e6] * 3
