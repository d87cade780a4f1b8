"""A second family, as another package would bring it: ridge regression on generated data."""

import time
from dataclasses import dataclass

import numpy as np

from hpobench_llm.collect.campaign.spec import Campaign
from hpobench_llm.collect.columns import number
from hpobench_llm.collect.family import Family
from hpobench_llm.collect.ledger.header import Header
from hpobench_llm.collect.record import Checkpoint, Provenance, RunRecord
from hpobench_llm.errors import SpecError
from hpobench_llm.metrics import Fidelity, Metric
from hpobench_llm.provenance import git_revision, processor, versions
from hpobench_llm.space import Ordinal, Space

WEIGHTS = np.array([1.0, -2.0, 0.5, 0.0, 0.0, 3.0])


@dataclass(frozen=True, slots=True, kw_only=True)
class RidgeCampaign(Campaign):
    """A grid over penalty and noise; a run is fitted on more and more rows."""

    grid: dict[str, tuple[float, ...]]
    rows: tuple[int, ...] = (8, 16, 32)
    sleep: float = 0.0

    @property
    def space(self):
        return Space(tuple(Ordinal(name, values, log=True) for name, values in self.grid.items()))

    @property
    def fidelity(self):
        return Fidelity(name="rows", unit="rows", values=self.rows)


def loss_of(penalty, noise, seed, rows):
    """Return the squared error of the weights that ridge regression finds."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(64, len(WEIGHTS)))[:rows]
    y = x @ WEIGHTS + noise * rng.normal(size=64)[:rows]
    found = np.linalg.solve(x.T @ x + penalty * np.eye(len(WEIGHTS)), x.T @ y)
    return float(((found - WEIGHTS) ** 2).mean())


@dataclass(frozen=True)
class RidgeBench:
    """Nothing is shared by the runs but where they are made."""

    campaign: RidgeCampaign

    @property
    def sources(self):
        return {"data": {"generated": "by seed"}}

    @property
    def untrained(self):
        return {"val_loss": float((WEIGHTS**2).mean())}

    @property
    def provenance(self):
        code = git_revision()
        library = versions("numpy")
        where = {"device": processor(), "threads": 1, "versions": library}
        return Provenance(commit=code["commit"], dirty=code["dirty"], **where)

    def header(self, pack_size=1):
        return Header(sources=self.sources, untrained=self.untrained, pack_size=pack_size)

    def run(self, task, on_step):
        return [self._record(run, on_step) for run in task.runs]

    def _record(self, run, on_step):
        checkpoints = []
        for done, rows in enumerate(self.campaign.rows, start=1):
            on_step(rows)
            time.sleep(self.campaign.sleep)
            values = {"val_loss": loss_of(**run.config, seed=run.seed, rows=rows)}
            values |= {"train_seconds": 1.0 * done, "condition": float(rows)}
            checkpoints.append(Checkpoint(fidelity={"rows": rows}, status="ok", values=values))
        return RunRecord(
            config=run.config,
            seed=run.seed,
            settings=run.config,
            constants={},
            checkpoints=tuple(checkpoints),
            provenance=self.provenance,
        )


class RidgeFamily(Family[RidgeCampaign]):
    """All that `collect` has to be told."""

    spec, engines = RidgeCampaign, ("closed-form",)

    def open(self, campaign, file, device, trust):
        if campaign.sleep < 0:
            raise SpecError(file, "sleep", "must not be negative")
        return RidgeBench(campaign)

    def columns(self, campaign, untrained):
        axes = [number(name, "", "hyperparameter") for name in campaign.grid]
        said = {"rows": "rows of the fit", "val_loss": "squared error of the weights"}
        said |= {"train_seconds": "so far", "condition": "as many as rows"}
        return [*axes, *(number(name, "", meaning) for name, meaning in said.items())]

    def metrics(self, campaign, header, frame):
        worst = header.untrained["val_loss"]
        return [Metric(name="val_loss", unit="", direction="minimize", worst=worst, low=0.0)]


FAMILY = RidgeFamily()
