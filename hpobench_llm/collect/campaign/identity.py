"""The identity of a ledger: the recipe that all its runs share."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hpobench_llm.artefacts import canonical_json, sha256_of_text
from hpobench_llm.plain import Json

RECIPE = "recipe_sha256"
# What no run's numbers depend on: which runs there are, what only adds to a record, and prose.
PROSE = {"prose": True}  # the metadata of a dataclass's field that is prose
_LEFT_OUT = (
    "name",
    "version",
    "description",
    "context",
    "licence",
    "family",
    "task",
    "grid",
    "seeds",
    "repeat",
    "per_example_runs",
)


Essence = dict[str, Json]
"""What a spec says that its defaults do not, by key; nested specs likewise."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A campaign's name, for people, and the sums of its recipe, which its files carry.

    `accepted` are the sums that earlier formats gave the same recipe.
    """

    campaign: str
    recipe_sha256: str
    accepted: tuple[str, ...] = ()

    def to_json(self) -> dict[str, str]:
        """Return what stands in every file of a ledger."""
        return {"campaign": self.campaign, RECIPE: self.recipe_sha256}

    def is_of(self, body: object) -> bool:
        """Whether a file's content was made by this recipe."""
        return isinstance(body, Mapping) and body.get(RECIPE) in (
            self.recipe_sha256,
            *self.accepted,
        )


def identity_of(name: str, recipe: Essence, accepted: tuple[str, ...] = ()) -> Identity:
    """Return the identity of a campaign: the sum of its `essence`, less what no number depends on.

    The recipe is all that a run's numbers depend on beside its own configuration: a campaign may
    grow by axes' values, seeds and repeats, and be renamed. Only what differs from its default
    enters, so that a key which is added to campaigns later changes no sum. A default must
    therefore never change.
    """
    relevant = {key: value for key, value in recipe.items() if key not in _LEFT_OUT}
    return Identity(name, sha256_of_text(canonical_json(relevant)), accepted)


def essence(spec: Any) -> Essence:
    """Return the fields of a dataclass that differ from their defaults, nested ones likewise.

    Those that are prose are left out, wherever they stand.
    """
    differing: Essence = {}
    for field in dataclasses.fields(spec):
        # A text may be improved after the runs were made.
        if field.metadata == PROSE:
            continue
        value = getattr(spec, field.name)
        default = (
            field.default
            if field.default_factory is dataclasses.MISSING
            else field.default_factory()
        )
        if value != default:
            differing[field.name] = _plain(value)
    return differing


def _plain(value: Any) -> Json:
    if dataclasses.is_dataclass(value):
        return essence(value)
    if isinstance(value, tuple | list):
        return [_plain(entry) for entry in value]
    if isinstance(value, Mapping):
        return {key: _plain(entry) for key, entry in value.items()}
    plain: Json = value
    return plain
