"""The families by the `kind` of a campaign's file, and how such files are read."""

from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from hpobench_llm.collect.campaign.spec import Campaign
from hpobench_llm.collect.family import Family
from hpobench_llm.errors import SpecError, nearest, shown
from hpobench_llm.space import Dimension
from hpobench_llm.spec import parse_spec, read_toml

FAMILIES = {
    "lora": "hpobench_llm.collect.lora.family",
    "subnets": "hpobench_llm.collect.subnets.family",
    "widths": "hpobench_llm.collect.widths.family",
}
GROUP = "hpobench_llm.families"  # entry points of other distributions: a module that holds FAMILY
DEFAULT = "lora"


def kinds() -> dict[str, str]:
    """Return the module of every family by its name; ours win over those of other packages."""
    return {point.name: point.value for point in entry_points(group=GROUP)} | FAMILIES


@cache
def _family(kind: str) -> Family[Any]:
    family: Family[Any] = import_module(kinds()[kind]).FAMILY
    return family


def family_of(campaign: Campaign) -> Family[Any]:
    """Return the family of a campaign."""
    return _family(campaign.kind)


def read_campaign(path: Path) -> Campaign:
    """Read and check a campaign as the spec of its family.

    Raises:
        SpecError: naming file, key and value.
    """
    raw = read_toml(path)
    kind = raw.get("kind", DEFAULT)
    if kind not in kinds():
        raise SpecError(path, "kind", f"no family {shown(kind)}{nearest(str(kind), kinds())}")
    return parse_spec(raw, _family(kind).spec, file=path)


def read_grid(path: Path) -> Campaign:
    """Read a campaign to collect, all of whose axes are lists.

    Raises:
        SpecError: naming file, key and value.
    """
    campaign = read_campaign(path)
    for axis in campaign.space:
        if _endless(axis):
            raise SpecError(
                path,
                f"grid.{axis.name}",
                "a grid needs a list of values, and this is a range; to tune on the campaign as "
                f'it is, load("{path}", kind="live")',
            )
    return campaign


def _endless(axis: Dimension) -> bool:
    return axis.levels is None
