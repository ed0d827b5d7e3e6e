"""Where the feature map of every tensor of a lowered network is stored, and in which format."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from ....hardware.lowering import HwOp
from ..feature_map import FeatureMap
from .aliases import Aliases
from .brick_format import nhwc_locations

__all__ = ["TensorStorage"]


@dataclass(frozen=True, eq=False)
class TensorStorage:
    """The stored tensors of a lowered network.

    numbers: of the operator each operator is charged to. nhwc: locations that are not in brick format. maps: feature
    maps as their readers see them, by tensor name.
    """

    aliases: Aliases
    numbers: Mapping[str, int]
    nhwc: frozenset[str]
    maps: Mapping[str, FeatureMap]

    @classmethod
    def of(cls, ops: Sequence[HwOp], family: str, numbers: Mapping[str, int]) -> Self:
        """numbers: by operator name. family: "u55", "u65" or "u85"."""
        aliases = Aliases.of(ops)
        nhwc = nhwc_locations(aliases, family)
        sizes, locations = aliases.sizes, aliases.locations
        maps = {op.name: FeatureMap(*sizes[op.name], locations[op.name] not in nhwc, op.bits) for op in ops}
        return cls(aliases, numbers, nhwc, maps)

    def location(self, name: str) -> str:
        """Name of the tensor whose memory holds a tensor."""
        return self.aliases.locations[name]

    def output(self, op: HwOp) -> tuple[str, FeatureMap, FeatureMap | None]:
        """(location, feature map, whole) that an operator writes; whole: the feature map it is a part of, None where it
        is all of its own.
        """
        location = self.aliases.locations[op.name]
        ofm = self.maps[op.name]
        whole = None
        if location != op.name:
            whole = FeatureMap(*self.aliases.sizes[location], ofm.bricks, op.bits)
        return location, ofm, whole
