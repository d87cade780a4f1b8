"""The commands and their options, from the parsers that read them."""

import argparse
from collections.abc import Iterator

from hpobench_llm.cli import parser
from hpobench_llm.cli.collect import parser as collect_parser


def all_commands() -> str:
    """Return every command with its options."""
    return "\n\n".join(
        part for each in (parser(), collect_parser()) for part in _command(each, each.prog)
    )


def names(
    of: argparse.ArgumentParser, called: str, said: str = ""
) -> Iterator[tuple[str, argparse.ArgumentParser, str]]:
    """Yield (words that call it, parser, what it does) of a parser and of those below it."""
    yield called, of, of.description or said
    for action in of._actions:
        if isinstance(action, argparse._SubParsersAction):
            helps = {choice.dest: choice.help or "" for choice in action._choices_actions}
            for word, below in action.choices.items():
                yield from names(below, f"{called} {word}", helps.get(word, ""))


def _command(of: argparse.ArgumentParser, prog: str) -> Iterator[str]:
    for called, each, said in names(of, prog):
        yield f"{'##' if called == prog else '###'} {called}"
        yield f"{said[0].upper()}{said[1:].rstrip('.')}."
        yield from (_option(action) for action in each._actions if _worth(action))
        if each.epilog:
            yield each.epilog


def _worth(action: argparse.Action) -> bool:
    return not isinstance(action, argparse._HelpAction | argparse._SubParsersAction)


def _option(action: argparse.Action) -> str:
    """Return an argument as a term and its meaning."""
    metavar = action.metavar or (action.dest.upper() if action.nargs != 0 else "")
    if action.choices is not None:
        metavar = "|".join(map(str, action.choices))
    shown = [f"{name} {metavar}".strip() for name in action.option_strings] or [str(metavar)]
    said = (action.help or "").replace("%(default)s", str(action.default)).replace("%%", "%")
    said = said or ("one of these" if action.choices else "required")
    return f"{', '.join(f'`{each}`' for each in shown)}\n: {said}"
