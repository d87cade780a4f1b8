"""The baselines of a campaign: networks cut from its fine-tuned one, by weights or by layers."""

from collections.abc import Iterator
from dataclasses import dataclass

from hpobench_llm.collect.subnets.importance import Orders, by_magnitude, reordered
from hpobench_llm.collect.subnets.network import Weights
from hpobench_llm.collect.subnets.pruning import (
    LAST,
    LEAST,
    MAGNITUDE,
    UNCUT,
    by_bins,
    by_depth,
)
from hpobench_llm.collect.subnets.spec import SubnetsCampaign
from hpobench_llm.collect.subnets.subnet import Subnet


@dataclass(frozen=True, slots=True)
class Cut:
    """A baseline: the part `subnet` of `weights`, whose parts are in the order of the method."""

    method: str
    weights: Weights
    subnet: Subnet


def cuts(campaign: SubnetsCampaign, tuned: Weights, orders: Orders) -> Iterator[Cut]:
    """Yield the baselines of fine-tuned weights, the whole first; see `pruning`.

    Args:
        campaign: the space whose parameter counts are met, and the whole network's sizes.
        tuned: the fine-tuned weights, their parts in any order, the layers in place.
        orders: by the campaign's importance; only that of the layers counts.
    """
    whole = campaign.whole
    yield Cut(UNCUT, tuned, whole.subnet)
    by_weight = Orders.of(by_magnitude(tuned, whole), whole)
    pruned = reordered(tuned, by_weight, whole)
    yield from (Cut(MAGNITUDE, pruned, subnet) for subnet in by_bins(campaign))
    for method, ranked in ((LAST, range(whole.layers)), (LEAST, orders.layers)):
        yield from (Cut(method, tuned, subnet) for subnet in by_depth(whole, ranked))
