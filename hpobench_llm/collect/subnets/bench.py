"""A campaign of sub-networks made ready on a device, and how a run of it is made."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from hpobench_llm.collect.campaign.plan import Task
from hpobench_llm.collect.campaign.spec import Run
from hpobench_llm.collect.ledger.header import Header
from hpobench_llm.collect.lora.data.encoding import Tokens
from hpobench_llm.collect.lora.data.rows import read_tokens
from hpobench_llm.collect.lora.engines.workbench import Workbench
from hpobench_llm.collect.lora.opening import load_workbench
from hpobench_llm.collect.lora.sealable import check_base
from hpobench_llm.collect.lora.shape import shape_of_config
from hpobench_llm.collect.record import Checkpoint, Provenance, RunRecord, finite
from hpobench_llm.collect.subnets.cuts import cuts
from hpobench_llm.collect.subnets.measure import latency
from hpobench_llm.collect.subnets.network import extracted
from hpobench_llm.collect.subnets.spec import STEP, SubnetsCampaign
from hpobench_llm.collect.subnets.subnet import Subnet, Whole, flops, parameters
from hpobench_llm.collect.subnets.supernet import Supernets
from hpobench_llm.collect.training.memory import is_out_of_memory
from hpobench_llm.collect.training.meter import seconds_on
from hpobench_llm.collect.trust import NONE, Trust
from hpobench_llm.errors import DataError, HpobenchError, SpecError
from hpobench_llm.plain import Json
from hpobench_llm.space import Value
from hpobench_llm.tables.baselines import Baseline
from hpobench_llm.tables.provenance import Sources


@dataclass(frozen=True, slots=True)
class SubnetsBench:
    """Base, rows, scores, and the super-networks. See `family.Bench`."""

    workbench: Workbench[SubnetsCampaign]
    supernets: Supernets
    calibration: Mapping[str, Json]
    alone: frozenset[str]
    first: str
    """The run that measures the baselines, which all seeds share as they share the base."""

    @property
    def sources(self) -> Sources:
        """Base, data, scores and calibration rows, with their sums."""
        return {**self.workbench.sources, "calibration": self.calibration}

    @property
    def untrained(self) -> dict[str, float]:
        """What the whole base scores as it is."""
        return self.workbench.untrained

    @property
    def provenance(self) -> Provenance:
        """Which code and machine measure here."""
        return self.workbench.provenance

    def header(self, pack_size: int = 1) -> Header:
        """Return what a ledger says of the whole collection."""
        return replace(self.workbench.header(pack_size), sources=self.sources)

    def run(self, task: Task, on_step: Callable[[int], None]) -> list[RunRecord]:
        """Measure sub-networks."""
        try:
            return [self._measured(run, on_step) for run in task.runs]
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            # The super-network is shared: without it no run of the campaign can be measured.
            raise HpobenchError(
                "the memory does not suffice to train the super-network; lower "
                "training.batch_rows or data.max_tokens"
            ) from None

    def _measured(self, run: Run, on_step: Callable[[int], None]) -> RunRecord:
        bench, supernets = self.workbench, self.supernets
        supernet, whole = supernets.of(run.seed, on_step), supernets.whole
        subnet = supernets.subnet(run.config)
        last = bench.campaign.checkpoints[-1]
        sizes: dict[str, float] = {}
        checkpoints: list[Checkpoint] = []
        items: dict[str, tuple[float, ...]] = {}
        spent = 0.0
        for step, weights in supernet.weights.items():
            on_step(step)  # an evaluation takes long: a signal is looked for before it
            model = extracted(bench.base, weights, subnet, whole)
            if not checkpoints:  # its time does not depend on its weights
                sizes = self._sizes(subnet, model) | {"train_seconds": 0.0}
            started = seconds_on(bench.device)
            measured = bench.evaluate(model, step)
            spent += seconds_on(bench.device) - started
            # Sizes do not change while a super-network trains; they stand in every row.
            values = sizes | measured.values | {"eval_seconds": spent}
            values["shared_train_seconds"] = supernet.seconds[step]
            if step == last and run.config_id in self.alone:
                values |= self._alone(run, on_step)
            if step == last and run.run_id in bench.per_example:
                items = {
                    name: tuple(item_values.round(decimals=6).tolist())
                    for name, item_values in measured.items.items()
                    if bool(torch.isfinite(item_values).all())
                }
            ok = math.isfinite(values["val_loss"]) and math.isfinite(values["test_loss"])
            checkpoints.append(
                Checkpoint(
                    fidelity={STEP: step},
                    status="ok" if ok else "diverged",
                    values=finite(values),
                )
            )
        return RunRecord(
            config=run.config,
            seed=run.seed,
            settings=run.config,
            constants={
                **_kept(subnet),
                "order_sha256": supernets.finetuned.orders.sha256,
                "supernet_sha256": supernet.sha256,
            },
            checkpoints=tuple(checkpoints),
            provenance=bench.provenance,
            items=items,
            baselines=self._baselines(on_step) if run.run_id == self.first else (),
        )

    def _sizes(self, subnet: Subnet, model: Any) -> dict[str, float]:
        """Return what does not depend on the weights of a sub-network: sizes and latency."""
        campaign, whole = self.workbench.campaign, self.supernets.whole
        tokens = campaign.data.max_tokens
        duration = latency(model, campaign.latency_rows, tokens, campaign.latency_repeats)
        return {
            "parameters": parameters(subnet, whole),
            "flops": flops(subnet, whole, tokens),
            "latency_seconds": duration.median,
            "latency_spread_seconds": duration.spread,
        }

    def _baselines(self, on_step: Callable[[int], None]) -> tuple[Baseline, ...]:
        """Measure what is cut from the fine-tuned network, as the runs are at their end."""
        bench, finetuned = self.workbench, self.supernets.finetuned
        baselines = []
        for cut in cuts(bench.campaign, finetuned.weights, finetuned.orders):
            on_step(0)
            model = extracted(bench.base, cut.weights, cut.subnet, self.supernets.whole)
            values = self._sizes(cut.subnet, model)
            values |= bench.evaluate(model, bench.campaign.checkpoints[-1]).values
            kept = _kept(cut.subnet).items()
            what = ", ".join(f"{name.removeprefix('kept_')} {value}" for name, value in kept)
            baselines.append(Baseline(method=cut.method, what=what, values=finite(values)))
        return tuple(baselines)

    def _alone(self, run: Run, on_step: Callable[[int], None]) -> dict[str, float]:
        subnet = self.supernets.subnet(run.config)
        model, seconds = self.supernets.alone(subnet, run.seed, on_step)
        losses, _ = self.workbench.losses.measure(model)
        return {
            "alone_val_loss": losses["val_loss"],
            "alone_test_loss": losses["test_loss"],
            "alone_train_seconds": seconds,
        }


def open_bench(
    campaign: SubnetsCampaign, file: Path, device_name: str, trust: Trust = NONE
) -> SubnetsBench:
    """Load a campaign's base, rows and scores onto the device of this process.

    Nothing is trained yet.

    Raises:
        SpecError, DataError: base, data, calibration rows or scores cannot be used, or the base
            is another than `base.shape` says.
        HpobenchError: the memory does not suffice.
    """
    bench = load_workbench(campaign, file, device_name, trust)
    check_base(campaign, file, bench.untrained)
    _check_shape(bench, file)
    rows, report = _calibration(bench, file)
    runs = campaign.runs()
    alone = frozenset(run.config_id for run in runs[: campaign.alone])
    return SubnetsBench(bench, Supernets(bench, rows), report, alone, runs[0].run_id)


def _kept(subnet: Subnet) -> dict[str, Value]:
    return {
        "kept_width": subnet.width,
        "kept_heads": subnet.heads,
        "kept_units": subnet.units,
        "kept_layers": " ".join(map(str, subnet.layers)),
    }


def _check_shape(bench: Workbench[SubnetsCampaign], file: Path) -> None:
    """Check that the base is the LLaMA that the campaign's grid was checked against."""
    config = bench.base.config
    if config.model_type != "llama" or config.attention_bias or config.mlp_bias:
        raise SpecError(
            file, "base", f"sub-networks need a LLaMA without biases, this is {config.model_type}"
        )
    try:
        actual = Whole.of(shape_of_config(config.to_dict()))
    except ValueError as error:
        raise SpecError(file, "base", str(error)) from None
    stated = bench.campaign.whole
    if actual != stated:
        raise SpecError(file, "base.shape", f"says {stated}, but the base is {actual}")


def _calibration(
    bench: Workbench[SubnetsCampaign], file: Path
) -> tuple[list[Tokens], Mapping[str, Json]]:
    """Return the rows on which importance is measured, and where they come from."""
    campaign = bench.campaign
    wanted, source = campaign.calibration.rows, campaign.calibration.source
    report: dict[str, Json]
    if not source:
        rows, report = bench.split.train, {"source": "training rows"}
    else:
        data = replace(campaign.data, source=source)
        _, usable, unused, sums, _ = read_tokens(data, file, bench.tokenizer, "calibration")
        rows = [usable[key] for key in sorted(usable)]
        report = {"source": sums, "unused": dict(sorted(unused.counts.items()))}
    if len(rows) < wanted:
        raise DataError(
            f"{file}: `calibration.rows` wants {wanted} rows, there are {len(rows)} usable ones"
        )
    return rows[:wanted], report | {"rows": wanted}
