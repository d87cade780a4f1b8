"""`make-base`: a small base model."""

import argparse
from pathlib import Path

from hpobench_llm.errors import MissingDependencyError
from hpobench_llm.progress import Progress


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    base = commands.add_parser(
        "make-base", help="pretrain a small base; started again, it continues"
    )
    base.add_argument("spec", type=Path, metavar="BASE.toml")
    base.add_argument("--out", type=Path, metavar="DIR", help="default: beside the spec")
    base.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    base.set_defaults(run=_make_base)


def _make_base(options: argparse.Namespace) -> int:
    try:
        from hpobench_llm.collect.lora.bases.base_model import make_base
    except ImportError as error:
        raise MissingDependencyError(str(error.name), "collect", "make-base") from None
    out = options.out or options.spec.with_suffix("")
    with Progress(1, f"pretrain {out.name}") as progress:
        make_base(
            options.spec,
            out,
            device=options.device,
            progress=lambda done, total, text: progress.advance_to(done, text, total),
        )
    print(f"{out}: base model written")
    return 0
