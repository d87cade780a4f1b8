"""What a run is compared with: HF Trainer (as a script of its own too) and a compiled loop."""

import dataclasses
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from torch.nn.functional import cross_entropy
from transformers import AutoModelForCausalLM, PrinterCallback, Trainer, TrainingArguments

from hpobench_llm.collect.lora.bases.model import adapted
from hpobench_llm.collect.lora.data.rows import Tokens
from hpobench_llm.collect.lora.engines.workbench import Workbench
from hpobench_llm.collect.training.meter import seconds_on


@dataclasses.dataclass(frozen=True, slots=True)
class Job:
    """All that one run with HF Trainer needs."""

    base: str
    rows: list[list[int]]
    step_rows: int
    steps: int
    lr: float
    rank: int
    alpha: float
    device: str


def job(bench: Workbench, base: Path, lr: float) -> Job:
    """Return the run that our engines would make of the bench's first rows."""
    campaign = bench.campaign
    hyper = campaign.defaults
    return Job(
        str(base),
        [row.ids for row in bench.split.train],
        campaign.step_rows,
        campaign.checkpoints[-1],
        lr,
        hyper.rank,
        hyper.alpha_ratio * hyper.rank,
        bench.device.type,
    )


def trainer_in_one_process(bench: Workbench, what: Job) -> float:
    """Fine-tune the bench's base with HF Trainer; returns the seconds of its `train`."""
    hyper = dataclasses.replace(bench.campaign.defaults, lr=what.lr)
    with adapted(bench.base, hyper, 0) as (model, _):
        return _train(model, what)


def trainer_process(what: Job) -> dict[str, float]:
    """Do the same in a fresh process; returns `train`, its training seconds, and its `wall`."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "job.json"
        file.write_text(json.dumps(dataclasses.asdict(what)), encoding="utf-8")
        started = time.perf_counter()
        done = subprocess.run(
            [sys.executable, __file__, str(file)], stdout=subprocess.PIPE, text=True, check=True
        )
        wall = time.perf_counter() - started
    return {"train": float(done.stdout.splitlines()[-1]), "wall": wall}


def _train(model: Any, what: Job) -> float:
    device = torch.device(what.device)
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            max_steps=what.steps,
            per_device_train_batch_size=what.step_rows,
            learning_rate=what.lr,
            lr_scheduler_type="cosine",
            max_grad_norm=1.0,
            optim="adamw_torch",
            use_cpu=device.type == "cpu",
            dataloader_pin_memory=device.type != "cpu",
            logging_strategy="no",
            save_strategy="no",
            report_to=[],
            remove_unused_columns=False,
            disable_tqdm=True,
        )
        rows = [{"ids": row} for row in what.rows]
        trainer = Trainer(model, arguments, train_dataset=rows, data_collator=_stack)
        trainer.remove_callback(PrinterCallback)
        started = seconds_on(device)
        trainer.train()
        return seconds_on(device) - started


def _stack(rows: list[dict[str, list[int]]]) -> dict[str, torch.Tensor]:
    ids = torch.tensor([row["ids"] for row in rows])
    return {"input_ids": ids, "labels": ids}


class CompiledLoop:
    """A plain loop of peft, torch.compile and AdamW; compiled once for all runs of a cell.

    Every run starts from the same adapter, so that nothing has to be compiled again: the best case
    of this baseline. `setup_seconds` are those of compiling.
    """

    def __init__(self, bench: Workbench, mode: str) -> None:
        self._bench, self._mode = bench, mode
        self._context = adapted(bench.base, bench.campaign.defaults, 0)
        self._model: Any = None

    def __enter__(self) -> "CompiledLoop":
        """Wrap the base and compile two steps."""
        model, self._parameters = self._context.__enter__()
        model.eval()
        self._start = [p.detach().clone() for p in self._parameters]
        started = seconds_on(self._bench.device)
        self._model = torch.compile(model, mode=self._mode)
        self.train(1e-3, 2)
        self.setup_seconds = seconds_on(self._bench.device) - started
        return self

    def __exit__(self, *_: object) -> None:
        self._context.__exit__(None, None, None)

    def train(self, lr: float, steps: int) -> float:
        """Train a run; returns its seconds."""
        rows, count = self._bench.split.train, self._bench.campaign.step_rows
        device = self._bench.device
        with torch.no_grad():
            for p, value in zip(self._parameters, self._start, strict=True):
                p.copy_(value)
        optimizer = torch.optim.AdamW(self._parameters, lr=lr, fused=device.type == "cuda")
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        started = seconds_on(device)
        for step in range(steps):
            first = step * count % (len(rows) - count)
            ids = _ids(rows[first : first + count]).to(device)
            logits = self._model(input_ids=ids, use_cache=False).logits[:, :-1].flatten(0, 1)
            cross_entropy(logits.float(), ids[:, 1:].flatten()).backward()
            torch.nn.utils.clip_grad_norm_(self._parameters, 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
        return seconds_on(device) - started


def _ids(rows: list[Tokens]) -> torch.Tensor:
    return torch.tensor([row.ids for row in rows])


def main() -> None:
    """Run the job in a file given as the only argument, and print the seconds of training."""
    what = Job(**json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    base = AutoModelForCausalLM.from_pretrained(what.base, local_files_only=True)
    config = LoraConfig(
        r=what.rank, lora_alpha=what.alpha, target_modules="all-linear", task_type="CAUSAL_LM"
    )
    print(_train(get_peft_model(base.to(what.device), config), what))


if __name__ == "__main__":
    main()
