"""Time the packed engine against one peft run after another, as ratios within one program run.

    OMP_NUM_THREADS=1 python benchmarks/packed.py --json out/packed.json

What is measured, and how to read it: benchmarks/README.md.
"""

import argparse
import dataclasses
import json
import os
import resource
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported; processes inherit it
os.environ |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}

import torch
from baselines import CompiledLoop, job, trainer_in_one_process, trainer_process
from workload import RATES, SIZES, STEPS, Cell, runs, shortened

from hpobench_llm.collect.lora.engines.packed import train_pack
from hpobench_llm.collect.lora.engines.peft_loop import train_runs
from hpobench_llm.collect.lora.engines.workbench import Workbench
from hpobench_llm.collect.record import RunRecord
from hpobench_llm.collect.training.meter import seconds_on
from hpobench_llm.provenance import git_revision, processor, versions

REFERENCE = "peft engine"
RUN_STEPS = 200  # the length of the run over which set-up is spread


@dataclasses.dataclass(frozen=True, slots=True)
class Sample:
    """Seconds of one configuration: a step, what a run needs beside its steps, an evaluation.

    They are CPU seconds on a CPU, whose other programs would count on the wall, and wall seconds
    on a GPU.
    """

    step: float
    setup: float
    evaluation: float | None = None

    @property
    def run(self) -> float:
        """Seconds of a whole run of `RUN_STEPS` steps, evaluation left out."""
        return self.setup + RUN_STEPS * self.step


Method = Callable[[Workbench], Sample]


def engine(train: Callable[..., list[RunRecord]], count: int) -> Method:
    """Time one of our engines on `count` runs, by the seconds that its records hold."""

    def measure(bench: Workbench) -> Sample:
        started = seconds_on(bench.device)
        ends = [record.rows()[-1] for record in train(bench, runs(count))]
        total = seconds_on(bench.device) - started
        training = sum(end["train_seconds"] for end in ends)
        evaluation = sum(end["eval_seconds"] for end in ends)
        steps = count * bench.campaign.checkpoints[-1]
        setup = (total - training - evaluation) / count
        return Sample(training / steps, setup, evaluation / count)

    return measure


def trainer(base: Path) -> Method:
    """Time HF Trainer in this process."""

    def measure(bench: Workbench) -> Sample:
        what = job(bench, base, RATES[0])
        started = seconds_on(bench.device)
        training = trainer_in_one_process(bench, what)
        return Sample(training / what.steps, seconds_on(bench.device) - started - training)

    return measure


def trainer_alone(base: Path) -> Method:
    """Time HF Trainer in a process of its own; all that is not training is set-up."""

    def measure(bench: Workbench) -> Sample:
        what = job(bench, base, RATES[0])
        before = _seconds_of_children()
        found = trainer_process(what)
        on_cpu = bench.device.type == "cpu"
        total = _seconds_of_children() - before if on_cpu else found["wall"]
        return Sample(found["train"] / what.steps, total - found["train"])

    return measure


def compiled(loop: CompiledLoop) -> Method:
    """Time the compiled loop; its set-up is compiling, once for all runs of one shape."""

    def measure(bench: Workbench) -> Sample:
        steps = bench.campaign.checkpoints[-1]
        return Sample(loop.train(RATES[0], steps) / steps, loop.setup_seconds)

    return measure


def _seconds_of_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def measure_cell(cell: Cell, options: argparse.Namespace) -> dict[str, list[Sample]]:
    """Return the samples of every method on one base and shape, taken in turns."""
    device = torch.device(options.device)
    with tempfile.TemporaryDirectory() as folder:
        bench = cell.open(Path(folder), device)
        base = Path(folder) / "base"
        methods: dict[str, Method] = {REFERENCE: engine(train_runs, 2)}
        for size in options.packs:
            methods[f"packed, {size} at once"] = engine(train_pack, size)
        methods["HF Trainer, one process"] = trainer(base)
        found = _in_turns(methods, cell, bench, options.repeats)
        # A process a run is slow and its set-up steady: fewer turns tell enough.
        alone = {"HF Trainer, a process a run": trainer_alone(base)}
        found |= _in_turns(alone, cell, bench, min(2, options.repeats), warm=False)
        if options.compile:
            with CompiledLoop(bench, options.compile) as loop:
                method = {"peft, torch.compile": compiled(loop)}
                found |= _in_turns(method, cell, bench, options.repeats)
    return found


def _in_turns(
    methods: dict[str, Method], cell: Cell, bench: Workbench, repeats: int, *, warm: bool = True
) -> dict[str, list[Sample]]:
    if warm:
        for method in methods.values():
            method(shortened(bench, min(3, cell.steps)))
    found: dict[str, list[Sample]] = {name: [] for name in methods}
    for repeat in range(repeats):
        for name, method in methods.items():
            print(f"{cell.name}: {repeat + 1} of {repeats}: {name}", file=sys.stderr, flush=True)
            found[name].append(method(bench))
    return found


def table(cell: Cell, found: dict[str, list[Sample]]) -> list[str]:
    """Return a Markdown table: how many times the peft engine's speed each method reaches."""
    lines = [
        f"### {cell.name}",
        "",
        f"| method | config-steps / s | step | run of {RUN_STEPS} steps | evaluation |",
        "|---|---|---|---|---|",
    ]
    reference = found[REFERENCE]
    for name, samples in found.items():
        speed = 1 / statistics.median(sample.step for sample in samples)
        ratios = [
            _ratio(reference, samples, lambda sample: sample.step),
            _ratio(reference, samples, lambda sample: sample.run),
            _ratio(reference, samples, lambda sample: sample.evaluation),
        ]
        lines.append(f"| {name} | {speed:.1f} | {' | '.join(ratios)} |")
    return [*lines, ""]


def _ratio(
    reference: list[Sample], samples: list[Sample], read: Callable[[Sample], float | None]
) -> str:
    """Return the ratio of medians, and in brackets those of the samples taken in one turn."""
    ours, theirs = [read(s) for s in reference], [read(s) for s in samples]
    known = [(a, b) for a, b in zip(ours, theirs, strict=False) if a is not None and b]
    if not known:
        return ""
    middle = statistics.median(a for a, _ in known) / statistics.median(b for _, b in known)
    turns = [a / b for a, b in known]
    return f"{middle:.2f} [{min(turns):.2f}, {max(turns):.2f}]"


def main() -> None:
    """Measure what the options ask for, and print a table a cell."""
    options = _parser().parse_args()
    shapes = [tuple(map(int, shape.split("x"))) for shape in options.shapes]
    results = {}
    print(f"{processor()}, 1 thread, {options.repeats} turns; {versions('torch', 'peft')}\n")
    for size in options.sizes:
        for rows, tokens in shapes:
            cell = Cell(size, rows, tokens, options.steps or STEPS[size])
            found = measure_cell(cell, options)
            print("\n".join(table(cell, found)), flush=True)
            results[cell.name] = {
                name: [dataclasses.asdict(sample) for sample in samples]
                for name, samples in found.items()
            }
    if options.json:
        about = git_revision() | {"device": options.device, "processor": processor()}
        text = json.dumps({"about": about, "seconds": results}, indent=1)
        options.json.write_text(f"{text}\n", encoding="utf-8")


def _parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    made.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    made.add_argument("--sizes", nargs="+", choices=SIZES, default=["xs", "s", "m"])
    made.add_argument("--shapes", nargs="+", default=["1x64", "4x128"], metavar="ROWSxTOKENS")
    made.add_argument("--packs", nargs="+", type=int, default=[1, 2, 4, 8, 16], metavar="K")
    made.add_argument("--steps", type=int, default=0, help="timed steps; 0: by size")
    made.add_argument("--repeats", type=int, default=5, help="turns")
    made.add_argument("--compile", metavar="MODE", help="torch.compile's mode: default, ...")
    made.add_argument("--json", type=Path, metavar="FILE")
    return made


if __name__ == "__main__":
    main()
