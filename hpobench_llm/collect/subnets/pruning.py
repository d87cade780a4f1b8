"""What pruning without a super-network keeps of a network: sizes alone, no torch here.

By magnitude, all layers give up the same share of their heads and units, and the embedding of
its width where the space has that axis: of each the parts whose own weights are smallest. This is
ours: whittle's baseline zeroes N of M weights, which makes no network smaller. By depth, whole
layers go: the last ones first (Sajjad et al. 2023, arXiv 2004.03844), or the least important
first, which with the importance `activation` is ShortGPT's block influence (Men et al. 2024, arXiv
2403.03853). Nothing is trained after the cut.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from hpobench_llm.collect.subnets.spec import SubnetsCampaign
from hpobench_llm.collect.subnets.subnet import Subnet, Whole, parameters, subnet_of

UNCUT = "fine-tuned, nothing cut"
MAGNITUDE = "magnitude pruning"
LAST = "last layers dropped"
LEAST = "least important layers dropped"


def by_bins(campaign: SubnetsCampaign) -> list[Subnet]:
    """Return for each bin of the space's parameter counts what one share of all parts keeps.

    It is the network nearest to the bin's middle, the largest first; a bin that no share reaches
    has none.
    """
    whole = campaign.whole
    smallest, largest = (
        parameters(subnet_of(config, whole), whole)
        for config in (campaign.smallest(), campaign.largest())
    )
    edges = np.linspace(smallest, largest, campaign.bins + 1)
    networks = _by_share(whole, narrow="width" in campaign.grid)
    sizes = np.array([parameters(network, whole) for network in networks])
    kept: list[Subnet] = []
    for low, high in zip(edges[-2::-1], edges[:0:-1], strict=True):
        distances = np.abs(sizes - (low + high) / 2)
        nearest = int(np.argmin(distances))
        if low <= sizes[nearest] <= high:
            kept.append(networks[nearest])
    return list(dict.fromkeys(kept))  # a network on an edge lies in two bins


def _by_share(whole: Whole, *, narrow: bool) -> list[Subnet]:
    """Return all networks that keep one share of heads and units, and of the width if `narrow`."""
    counts = (whole.units, whole.key_heads, *([whole.width] if narrow else []))
    # Between two of these shares no count is rounded otherwise.
    steps = sorted({(number + 0.5) / count for count in counts for number in range(count)})
    shares = [(low + high) / 2 for low, high in pairwise([0.0, *steps])] + [1.0]
    networks = [
        Subnet(
            width=max(1, round(share * whole.width)) if narrow else whole.width,
            heads=whole.group * max(1, round(share * whole.key_heads)),
            units=max(1, round(share * whole.units)),
            layers=whole.subnet.layers,
        )
        for share in shares
    ]
    return list(dict.fromkeys(networks))


def by_depth(whole: Whole, ranked: Sequence[int]) -> list[Subnet]:
    """Return the network without one layer, two, ... but one, those last in `ranked` first."""
    return [
        Subnet(whole.width, whole.heads, whole.units, tuple(sorted(ranked[:count])))
        for count in range(whole.layers - 1, 0, -1)
    ]
