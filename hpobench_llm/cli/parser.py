"""The parser of both command lines: its errors name the nearest valid word."""

import argparse
from typing import Any

from hpobench_llm.errors import nearest


class Parser(argparse.ArgumentParser):
    """A parser, also of each command, whose errors propose a valid word."""

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            names = [str(choice) for choice in action.choices]
            raise argparse.ArgumentError(action, f"unknown {value!r}{nearest(value, names)}")
