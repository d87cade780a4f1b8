"""Say before a study's first replay what it will compare: who, on what, and at which cost."""

from contextlib import closing

from hpobench_llm.optimizers.registry import entry
from hpobench_llm.replaying.budget import EVALUATIONS
from hpobench_llm.running.here import here
from hpobench_llm.running.processes import in_processes
from hpobench_llm.studies.joining import amount_of
from hpobench_llm.studies.runner import Runner
from hpobench_llm.studies.study import OpenStudy, StudyCell, kind_of

MOST_NAMES = 6  # in a line
SECONDS_TO_TRY = 30.0  # for a replay that shows what trials in part come to


def outlook(study: OpenStudy) -> list[str]:
    """Return lines that say what will be compared and, where trials differ, which budget is fair.

    Where trials are counted and a method trains in part, one replay of it is run to see how many
    trials in full its trials come to; but none on a live benchmark, which would train.
    """
    spec, budget = study.spec, amount_of(study.spec)
    unit = "trials" if budget.unit == EVALUATIONS else budget.unit
    at_a_time = "one trial" if spec.workers == 1 else f"{spec.workers} trials"
    lines = [
        f"{_some(spec.optimizers)} on {_some(spec.optimized)}: {len(spec.cells())} replays of up "
        f"to {budget.amount:g} {unit} each, {at_a_time} at a time"
    ]
    in_part = [name for name in spec.optimizers if entry(name).fidelity]
    if budget.unit == EVALUATIONS and in_part and len(in_part) < len(spec.optimizers):
        lines.append(_unlike(study, in_part, int(budget.amount)))
    return lines


def _unlike(study: OpenStudy, in_part: list[str], trials: int) -> str:
    """Say what trials in part come to, on the first benchmark, and how to count alike."""
    spec = study.spec
    name = next((n for n in spec.optimized if kind_of(n, spec.kind) != "live"), None)
    text = f"{_some(in_part)} trains in part, so that {trials} of its trials cost less than others"
    if name is None:
        return f"{text}; count steps of a fidelity axis to compare at equal cost"
    least = _least(study, [StudyCell(name, optimizer, 0) for optimizer in in_part])
    if least is not None:
        amount, optimizer = least
        text = (
            f"{trials} trials of {optimizer} come to about {amount:.2g} in full on {name}: "
            f"so far the comparison goes, of {trials} trials of the others"
        )
    axis = study.benchmark(name).fidelities[0]
    return (
        f"{text}; with budget = {{{axis.name} = {trials * axis.full:g}}} all may train as much as "
        f"{trials} trials in full"
    )


def _least(study: OpenStudy, cells: list[StudyCell]) -> tuple[float, str] | None:
    """Return the least number of trials in full, and its optimizer; None if no replay ran."""
    spec = study.spec
    own, other = (Runner(spec, modules=study.modules) for _ in range(2))
    typed = here((cell for cell in cells if cell.optimizer in spec.typed), own.in_full)
    rest = (cell for cell in cells if cell.optimizer not in spec.typed)
    tried = in_processes(rest, other.in_full, count=1, timeout=lambda _: SECONDS_TO_TRY)
    with closing(tried):
        answers = [*typed, *tried]
    amounts = [(a.value, a.task.optimizer) for a in answers if a.value is not None]
    return min(amounts, default=None)


def _some(names: list[str] | tuple[str, ...]) -> str:
    rest = len(names) - MOST_NAMES
    return ", ".join(names[:MOST_NAMES]) + (f" and {rest} more" if rest > 0 else "")
