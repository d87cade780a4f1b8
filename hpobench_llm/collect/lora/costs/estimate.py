"""What a campaign will cost, from its file alone: runs, steps, tokens, FLOPs, memory, hours.

Everything here is an estimate by the formulas of `formulas`; the text of the data is not read.
"""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from hpobench_llm.collect.assumptions import Assumptions
from hpobench_llm.collect.campaign.spec import Run
from hpobench_llm.collect.lora.costs.formulas import (
    BYTES,
    EVALUATION_TOKENS,
    forward_flops,
    memory_bytes,
    training_flops,
)
from hpobench_llm.collect.lora.hyperparameters import Hyperparameters
from hpobench_llm.collect.lora.packs import solo_runs
from hpobench_llm.collect.lora.recipe import OF_TEST_ROWS, Score
from hpobench_llm.collect.lora.shape import Shape, shape_of_folder
from hpobench_llm.collect.lora.spec import LoraCampaign
from hpobench_llm.collect.lora.weights import checked_weights
from hpobench_llm.errors import SpecError
from hpobench_llm.spec import resolve_path

# Items of a whole benchmark, and tokens read and generated an item. Known sizes of the test sets;
# the tokens are assumed for five examples before the question (three for BBH and DROP).
BENCHMARKS = {
    "mmlu": (14_042, 700, 0),
    "bbh": (6_511, 900, 32),
    "drop": (9_536, 1_000, 16),
    "humaneval": (164, 180, 256),
}
# For data of one's own: items and tokens an item, by kind.
ITEMS, ITEM_TOKENS = 1000, {"minimal-pairs": 30, "multiple-choice": 200, "lm-eval": 500}


@dataclass(frozen=True, slots=True)
class RunCost:
    """One run: tokens, FLOPs, seconds, bytes."""

    adapter_parameters: int
    train_tokens: float
    eval_tokens: float
    score_tokens: float
    train_flops: float
    eval_flops: float
    train_seconds: float
    eval_seconds: float
    memory_bytes: float


@dataclass(frozen=True, slots=True)
class Estimate:
    """A campaign: its base's shape, the cheapest and the dearest run, and the sums over all.

    The sums hold the runs that are timed alone too.
    """

    shape: Shape
    runs: int
    steps: int
    cheapest: RunCost
    dearest: RunCost
    tokens: float
    flops: float
    device_hours: float
    assumptions: Assumptions


def base_shape(campaign: LoraCampaign, file: Path) -> Shape | None:
    """Return the shape of a campaign's base: as the campaign states it, else from its folder.

    None for a base of the hub or of a package without `[base.shape]`.

    Raises:
        SpecError: the folder is not there or cannot be read.
    """
    if campaign.base.shape is not None:
        return campaign.base.shape
    if campaign.base.hub or campaign.base.package:
        return None
    folder = resolve_path(campaign.base.path, file=file, key="base.path")
    checked_weights(folder, file)
    try:
        return shape_of_folder(folder)
    except ValueError as error:
        raise SpecError(file, "base.path", str(error)) from None


def estimate(
    campaign: LoraCampaign,
    file: Path,
    *,
    assumptions: Assumptions | None = None,
    pack_size: int = 1,
) -> Estimate | None:
    """Return the cost of all runs of a campaign, None if its base's shape is not known.

    Raises:
        SpecError: the base's folder cannot be read, or a target module is not in the base.
    """
    shape, assumed = base_shape(campaign, file), assumptions or Assumptions()
    if shape is None:
        return None
    runs = campaign.runs()
    # Runs of one size cost the same: each size is priced once.
    counts = Counter(_size(campaign, run, pack_size) for run in runs)
    if pack_size > 1:
        counts += Counter(_size(campaign, run, 1) for run in solo_runs(campaign, runs))
    costs = {}
    for size in counts:
        hyper, together = size
        if unknown := shape.unknown(hyper.targets):
            problem = f"{unknown[0]!r} names no module of the base"
            raise SpecError(file, "target_modules", problem)
        costs[size] = _run_cost(campaign, shape, hyper, assumed, together)

    def total(name: str) -> float:
        return sum(count * float(getattr(costs[size], name)) for size, count in counts.items())

    # Runs that are timed alone are the same ones once more.
    ordered = sorted(
        (cost for size, cost in costs.items() if size[-1] == pack_size),
        key=lambda cost: (cost.train_flops, cost.memory_bytes),
    )
    return Estimate(
        shape=shape,
        runs=len(runs),
        steps=campaign.checkpoints[-1],
        cheapest=ordered[0],
        dearest=ordered[-1],
        tokens=total("train_tokens") + total("eval_tokens") + total("score_tokens"),
        flops=total("train_flops") + total("eval_flops"),
        device_hours=(total("train_seconds") + total("eval_seconds")) * assumed.devices / 3600,
        assumptions=assumed,
    )


def _size(campaign: LoraCampaign, run: Run, together: int) -> tuple[Hyperparameters, int]:
    """Return what a run's cost follows from, the rest at its default, and its pack's size."""
    hyper = campaign.hyperparameters(run.config)
    names = ("rank", "target_modules", "layer_fraction", "batch_rows")
    return Hyperparameters(**{name: getattr(hyper, name) for name in names}), together


def _run_cost(
    campaign: LoraCampaign,
    shape: Shape,
    hyper: Hyperparameters,
    assumed: Assumptions,
    pack_size: int,
) -> RunCost:
    data, precision = campaign.data, campaign.base.precision
    adapter = shape.adapter_parameters(hyper)
    row_tokens = assumed.row_fill * data.max_tokens
    steps = campaign.checkpoints[-1] * campaign.passes(hyper)
    train = steps * campaign.step_rows * row_tokens
    losses = _loss_rows(campaign) * row_tokens
    read, generated = score_tokens(campaign, row_tokens)
    evaluated = losses + read + generated * assumed.decode_factor
    train_flops = training_flops(shape, adapter, train, len(hyper.layers(shape.layers)))
    eval_flops = forward_flops(shape, adapter, evaluated)
    # A forward pass launches about a third of what forward and backward launch.
    passes = (losses + read) / EVALUATION_TOKENS / 3
    step_tokens = campaign.step_rows * data.max_tokens
    return RunCost(
        adapter_parameters=adapter,
        train_tokens=train,
        eval_tokens=losses,
        score_tokens=read + generated,
        train_flops=train_flops,
        eval_flops=eval_flops,
        train_seconds=assumed.seconds(train_flops, steps * shape.layers / pack_size, precision),
        eval_seconds=assumed.seconds(eval_flops, passes * shape.layers, precision),
        memory_bytes=memory_bytes(
            shape, adapter, step_tokens, precision=precision, pack_size=pack_size
        ),
    )


def _loss_rows(campaign: LoraCampaign) -> int:
    """Return how many rows a run's losses are measured on, at all its checkpoints but 0."""
    data = campaign.data
    in_full = data.val_rows + data.test_rows + data.leaked_rows
    interim = in_full
    if data.interim_rows:
        # It bounds both sets, and there may be fewer test rows.
        tested = min(data.interim_rows, data.test_rows)
        interim = data.interim_rows + tested + data.leaked_rows
    between = len(campaign.checkpoints) - 2  # all but 0 and the last
    return in_full + between * interim


def score_tokens(campaign: LoraCampaign, row_tokens: float) -> tuple[float, float]:
    """Return the tokens that a run's scores read and generate, at all their checkpoints but 0."""
    read = generated = 0.0
    for score in campaign.score:
        times = sum(checkpoint > 0 for checkpoint in score.checkpoints)
        items, reads, generates = _score_size(score, campaign, row_tokens)
        read += times * items * reads
        generated += times * items * generates
    return read, generated


def _score_size(
    score: Score, campaign: LoraCampaign, row_tokens: float
) -> tuple[int, float, float]:
    """Return a score's items, and the tokens read and generated an item."""
    if score.kind in OF_TEST_ROWS:
        rows = min(score.items or campaign.data.test_rows, campaign.data.test_rows)
        return rows, row_tokens * (1 if score.kind == "exact-match" else 4), 0
    if score.task in BENCHMARKS:
        all_items, read, generated = BENCHMARKS[score.task]
        return min(score.items or all_items, all_items), read, generated
    return score.items or ITEMS, ITEM_TOKENS[score.kind], 0


def describe(
    campaign: LoraCampaign,
    file: Path,
    *,
    assumptions: Assumptions | None = None,
    pack_size: int = 1,
) -> list[str]:
    """Return the lines that `--dry-run` prints of a campaign's cost, for people.

    Raises:
        SpecError: the base's folder cannot be read, or a target module is not in the base.
    """
    total = estimate(campaign, file, assumptions=assumptions, pack_size=pack_size)
    if total is None:
        base = campaign.base.hub or campaign.base.package
        return [
            f"cost       unknown: the shape of {base} is not; state it in [base.shape] of {file}"
        ]
    shape, low, high, assumed = total.shape, total.cheapest, total.dearest, total.assumptions
    precision = campaign.base.precision
    weights = shape.total_parameters() * BYTES[precision]
    seconds = [cost.train_seconds + cost.eval_seconds for cost in (low, high)]
    evaluated = high.eval_tokens + high.score_tokens
    rate = assumed.rate(precision) / assumed.devices
    return [
        f"base       {shape.family}, {_short(shape.total_parameters())} parameters, "
        f"{_short(weights, 'B')} in {precision}",
        f"adapters   {_span(low.adapter_parameters, high.adapter_parameters)} parameters",
        f"a run      {total.steps} {campaign.fidelity.unit}: "
        f"{_short(high.train_tokens)} tokens trained on, {_short(evaluated)} evaluated "
        f"({_short(high.score_tokens)} of them for scores)",
        f"compute    {_span(low.train_flops, high.train_flops, 'FLOP')} training and "
        f"{_span(low.eval_flops, high.eval_flops, 'FLOP')} evaluation a run, "
        f"{_short(total.flops, 'FLOP')} in all",
        f"memory     {_span(low.memory_bytes, high.memory_bytes, 'B')} at its peak"
        + (f", {pack_size} runs at once" if pack_size > 1 else ""),
        f"time       {_time(seconds[0])} to {_time(seconds[1])} a run, "
        f"{total.device_hours:,.1f} device-hours for {total.runs} runs",
        f"assumed    {assumed.devices} x {assumed.device}, {_short(rate, 'FLOP/s')} each "
        f"(peak x utilisation), rows of {assumed.row_fill:g} x {campaign.data.max_tokens} tokens; "
        "all of this is estimated, nothing measured",
    ]


def _short(number: float, unit: str = "") -> str:
    """Return a number with three digits and a prefix: 6.74G, or 13.5 GB."""
    prefixes = ["", "k", "M", "G", "T", "P", "E", "Z"]
    while number >= 999.5 and len(prefixes) > 1:  # 999.5 would be shown as 1e+03
        number /= 1000
        prefixes.pop(0)
    space = " " if unit else ""
    return f"{number:.3g}{space}{prefixes[0]}{unit}"


def _span(low: float, high: float, unit: str = "") -> str:
    first, last = _short(low, unit), _short(high, unit)
    return first if first == last else f"{first} to {last}"


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.2g} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
