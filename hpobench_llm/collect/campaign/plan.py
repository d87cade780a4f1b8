"""Tasks: the runs of a campaign that are made together, and finished or not as a whole."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from hpobench_llm.artefacts import sha256_of_text
from hpobench_llm.collect.campaign.spec import Run


@dataclass(frozen=True, slots=True)
class Task:
    """Runs that one engine makes together; a `solo` task times one that was made among others."""

    kind: Literal["runs", "solo"]
    engine: str
    runs: tuple[Run, ...]

    @property
    def task_id(self) -> str:
        """The task's name in the ledger, a hash of what it holds."""
        text = "\n".join([self.kind, self.engine, *(run.run_id for run in self.runs)])
        return sha256_of_text(text)[:16]


def one_by_one(runs: Sequence[Run], engine: str) -> list[Task]:
    """Return a task for each run, in their order."""
    return [Task("runs", engine, (run,)) for run in runs]
