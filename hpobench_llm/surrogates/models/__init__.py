"""Model families that compete for each metric, the cheapest to ask first."""

from hpobench_llm.surrogates.models.base import Model, ModelFamily
from hpobench_llm.surrogates.models.network import NETWORK
from hpobench_llm.surrogates.models.process import PROCESS
from hpobench_llm.surrogates.models.ridge import RIDGE
from hpobench_llm.surrogates.models.trees import TREES

FAMILIES: dict[str, ModelFamily] = {
    family.name: family for family in (RIDGE, NETWORK, PROCESS, TREES)
}

__all__ = ["FAMILIES", "ModelFamily", "Model"]
