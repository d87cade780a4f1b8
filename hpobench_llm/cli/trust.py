"""The options that allow code of others to run; each has to be given by itself."""

import argparse

from hpobench_llm.collect.trust import Trust

# In the order of `Trust`.
FLAGS = {
    "--run-generated-code": "allow scores that run code which the model wrote, shut in by the "
    "system's namespaces",
    "--without-isolation": "with --run-generated-code: also where the system cannot shut it in",
    "--run-task-code": "allow task files of your own to name Python functions (!function)",
}


def add_trust(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    for flag, meaning in FLAGS.items():
        parser.add_argument(flag, action="store_true", help=meaning)


def trust_of(options: argparse.Namespace) -> Trust:
    """Return the trust in others' code that the options state."""
    names = (flag.removeprefix("--").replace("-", "_") for flag in FLAGS)
    return Trust(*(getattr(options, name) for name in names))
