"""Optimizers of other distributions: entry points of the group `hpobench_llm.optimizers`.

The entry point's name is the optimizer's. Its value is a subclass of `Optimizer`, whose `entry`
says what it can do, or an `Entry` whose `target` is the class: a module that holds nothing else is
listed without importing what the optimizer needs. Neither is imported before it is asked for, and
one that cannot be used is listed with the reason and leaves all others as they are.
"""

import re
from collections import defaultdict
from collections.abc import Container
from dataclasses import dataclass, replace
from functools import cache, cached_property
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from operator import attrgetter

from hpobench_llm.errors import OptimizerError
from hpobench_llm.optimizers.base import Optimizer
from hpobench_llm.optimizers.entry import Entry

GROUP = "hpobench_llm.optimizers"
# A name becomes part of a file's name, and a value of `-k` and `--only`.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class Plugin:
    """An entry point, and the problem with it that shows without importing it, if any."""

    point: EntryPoint
    problem: str = ""

    @property
    def distribution(self) -> str:
        """The name of the distribution that it comes with."""
        return self.point.dist.name if self.point.dist else ""

    @property
    def origin(self) -> str:
        """The distribution with its version, for messages."""
        dist = self.point.dist
        return f"{dist.name} {dist.version}" if dist else "no known distribution"

    @cached_property
    def entry(self) -> Entry:
        """What it can do, imported now; `broken` says why it cannot be used."""
        if self.problem:
            return Entry(distribution=self.distribution, broken=self.problem)
        try:
            loaded = self.point.load()
            if isinstance(loaded, type) and issubclass(loaded, Optimizer):
                loaded = replace(loaded.entry, target=f"{loaded.__module__}:{loaded.__qualname__}")
            if not isinstance(loaded, Entry):
                raise TypeError(
                    f"{self.point.value} is neither an Optimizer's class nor an Entry: {loaded!r}"
                )
            return replace(loaded, distribution=loaded.distribution or self.distribution)
        # A plug-in that breaks must not take the listing of all others with it.
        except (Exception, SystemExit) as error:
            reason = f"{type(error).__name__}: {error}"
            return Entry(distribution=self.distribution, broken=f"{reason} ({self.origin})")

    def load(self) -> type[Optimizer]:
        """Return the class.

        Raises:
            OptimizerError: it cannot be used; names distribution and reason.
        """
        name = self.point.name
        if self.entry.broken:
            raise OptimizerError(f"{name}: the plug-in cannot be used: {self.entry.broken}")
        module, _, attribute = self.entry.target.partition(":")
        try:
            cls = attrgetter(attribute)(import_module(module))
        except (Exception, SystemExit) as error:
            raise OptimizerError(
                f"{name}: the plug-in cannot be used: {type(error).__name__}: {error} "
                f"({self.origin})"
            ) from error
        if not (isinstance(cls, type) and issubclass(cls, Optimizer)):
            raise OptimizerError(
                f"{name}: {self.entry.target} is no subclass of Optimizer ({self.origin})"
            )
        return cls


def find_plugins(own: Container[str]) -> dict[str, Plugin]:
    """Return the plug-ins by name; one with a name of our `own` is `name (distribution)`."""
    by_name: dict[str, Plugin] = {}
    for name, points in _points().items():
        plugins = [Plugin(point) for point in points]
        if name in own:
            for plugin in plugins:
                by_name[f"{name} ({plugin.distribution})"] = replace(
                    plugin,
                    problem=f"`{name}` is an optimizer of hpobench-llm's own: {plugin.origin} has "
                    "to give its entry point another name",
                )
        elif len(points) > 1:
            origins = " and ".join(sorted(plugin.origin for plugin in plugins))
            by_name[name] = replace(
                plugins[0], problem=f"{origins} both name an optimizer so: uninstall one"
            )
        elif not _NAME.fullmatch(name):
            by_name[name] = replace(
                plugins[0],
                problem="a name has letters, digits and . _ - only, the first a letter or digit "
                f"({plugins[0].origin})",
            )
        else:
            by_name[name] = plugins[0]
    return by_name


@cache
def _points() -> dict[str, list[EntryPoint]]:
    """Return the entry points by name; all metadata is looked through once in a process."""
    points_by_name = defaultdict(list)
    for point in entry_points(group=GROUP):
        points_by_name[point.name].append(point)
    return dict(sorted(points_by_name.items()))
