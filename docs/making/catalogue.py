"""The optimizers: what each can do, from its entry, and how it works, from its docstrings.

Nothing is imported: a docstring is read from the source, so that no library need be there.
"""

import ast
import inspect
import re
from pathlib import Path

import hpobench_llm.optimizers
from hpobench_llm.optimizers.catalogue import ENTRIES, WRAPPERS
from hpobench_llm.optimizers.entry import Entry

_HOME = Path(hpobench_llm.optimizers.__file__).parent
_FLAGS = {
    "fidelity": "trains in part",
    "constraints": "knows constraints",
    "transfer": "learns from related tasks",
    "sequential": "one trial at a time",
    "ends": "ends when all is tried",
    "stops": "may stop early",
    "plans": "plans with its budget",
}


def optimizers() -> str:
    """Return all optimizers, a heading a family and a heading an optimizer."""
    parts: list[str] = []
    for family in dict.fromkeys(entry.family for entry in ENTRIES.values()):
        parts.append(f"## {family[0].upper()}{family[1:]}")
        members = {name: e for name, e in ENTRIES.items() if e.family == family}
        homes: dict[str, list[str]] = {}
        for name, entry in members.items():
            homes.setdefault(entry.target.partition(":")[0], []).append(name)
        for module, names in homes.items():
            about, _ = _docstrings(module)
            if len(names) > 1:
                parts.append(f"**{', '.join(names)}.** {_markdown(about)}")
            for name in names:
                parts += _optimizer(name, members[name], about if len(names) == 1 else "")
    return "\n\n".join(parts)


def overview() -> str:
    """Return a table of all optimizers, each linked to where it is described."""
    rows = [
        "| name | what | library | several objectives | trains in part | constraints | transfer |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, entry in ENTRIES.items():
        several = entry.objectives == "several"
        holds = (several, entry.fidelity, entry.constraints, entry.transfer)
        marks = " | ".join("yes" if each else "" for each in holds)
        library = entry.distribution or "our own"
        rows.append(f"| [`{name}`](#{name}) | {entry.summary} | {library} | {marks} |")
    return "\n".join(rows)


def wrappers() -> str:
    """Return what can be put around an optimizer."""
    return "\n\n".join(
        f"`NAME+{name}:NUMBER`\n: {wrapper.summary[0].upper()}{wrapper.summary[1:]}. The number: "
        f"{wrapper.value}{'' if wrapper.default is None else f' ({wrapper.default} if left out)'}."
        for name, wrapper in WRAPPERS.items()
    )


def _optimizer(name: str, entry: Entry, about: str) -> list[str]:
    module, _, cls = entry.target.partition(":")
    _, classes = _docstrings(module)
    flags = [words for flag, words in _FLAGS.items() if getattr(entry, flag)]
    several = "several objectives" if entry.objectives == "several" else "one objective"
    facts = [entry.distribution or "our own code", several, *flags]
    parts = [
        f"### {name}",
        f"*{entry.summary[0].upper()}{entry.summary[1:]}.* {'; '.join(facts)}.",
    ]
    return parts + [_markdown(text) for text in (about, classes.get(cls, "")) if text]


def _docstrings(module: str) -> tuple[str, dict[str, str]]:
    """Return the docstring of a module and of each class in it."""
    tree = ast.parse((_HOME / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8"))
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    said = {node.name: ast.get_docstring(node) or "" for node in classes}
    return ast.get_docstring(tree) or "", said


def _markdown(docstring: str) -> str:
    """Return a docstring without its sections, asterisks outside code meant as they stand."""
    text = re.split(r"\n\n(?:Args|Raises):\n", inspect.cleandoc(docstring))[0]
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(part if part.startswith("`") else part.replace("*", r"\*") for part in parts)
