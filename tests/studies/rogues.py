"""Optimizers that do what no optimizer should, and the command line that knows them.

A program, as a process that is spawned imports its parent's main module again: so the rogues are
known there too. In a seed that is odd, and unless HEALED is set, each does its worst at its third
suggestion; `hangs` does so in every seed, and `builds` as it is built.
"""

import os
import signal
import sys
import time
import types

from hpobench_llm.errors import OptimizerError
from hpobench_llm.optimizers import catalogue
from hpobench_llm.optimizers.entry import Entry
from hpobench_llm.optimizers.random.random_search import RandomSearch


class Rogue(RandomSearch):
    def suggest(self, number):
        print("chatter")
        if number == 2 and (self.seed % 2 or type(self) is Hangs) and "HEALED" not in os.environ:
            self.misbehave()
        return super().suggest(number)


class Raises(Rogue):
    def misbehave(self):
        raise ZeroDivisionError("by\nnought")


class Refuses(Rogue):
    def misbehave(self):
        raise OptimizerError("no luck")


class Quits(Rogue):
    def misbehave(self):
        sys.exit("enough")


class Dies(Rogue):
    def misbehave(self):
        os._exit(3)


class Killed(Rogue):
    def misbehave(self):
        os.kill(os.getpid(), signal.SIGKILL)


class Hangs(Rogue):
    def misbehave(self):
        time.sleep(10_000)


class Builds(RandomSearch):
    def set_up(self):
        if "HEALED" not in os.environ:
            raise RuntimeError("cannot be built")
        super().set_up()


class Slow(RandomSearch):
    """Takes its time, and tells nobody."""

    def suggest(self, number):
        time.sleep(0.02)
        return super().suggest(number)


class Learns(RandomSearch):
    """No rogue: says in a column of the trajectory which sources it was given."""

    def set_up(self):
        super().set_up()
        self.liar = ", ".join(f"{source.name} {len(source.configs)}" for source in self.sources)


module = types.ModuleType("hpobench_llm.optimizers.rogues")
for cls in (Raises, Refuses, Quits, Dies, Killed, Hangs, Builds, Slow, Learns):
    setattr(module, cls.__name__, cls)
    catalogue.ENTRIES[cls.__name__.lower()] = Entry(
        f"rogues:{cls.__name__}", "random", "", "", transfer=cls is Learns
    )
sys.modules[module.__name__] = module

if __name__ == "__main__":
    from hpobench_llm.cli import main

    sys.exit(main())
