"""How both command lines read their words: an unknown one is answered with the nearest."""

import argparse
from typing import Any

from hpobench_llm.errors import nearest


class Parser(argparse.ArgumentParser):
    """A parser, and that of each of its commands, that says what may have been meant."""

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            known = [str(choice) for choice in action.choices]
            raise argparse.ArgumentError(action, f"unknown {value!r}{nearest(value, known)}")
