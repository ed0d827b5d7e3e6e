"""Another input resolution."""

from dataclasses import dataclass
from typing import Self

from ..errors import InputError, NotApplicable
from ..graph import Graph, Plan, SetInput
from ..hardware import Target
from .base import Transform

__all__ = ["InputSize"]


@dataclass(frozen=True)
class InputSize(Transform):
    """Let the network read images of another size; no weight changes.

    height, width: pixels, 16 to 4096; width None is the height again. Channels that stand last, [N, H, W, C],
    stay there.

    Everything follows that the network's own code lets follow: flattened maps, attention on them, windows, patches,
    positions computed on the way. Refused where the network does not run at that size: a table of positions made for
    one size, windows that must divide the map, a map flattened into the classifier. Such a network is opened at another
    size: `workbench.open(name, input_size=(3, 192, 192))`.

    >>> InputSize(192)
    InputSize(height=192, width=None)
    """

    height: int = 224
    width: int | None = None

    def __post_init__(self) -> None:
        for name in ("height", "width"):
            value = getattr(self, name)
            if value is None and name == "width":
                continue
            if not isinstance(value, int) or isinstance(value, bool) or not 16 <= value <= 4096:
                raise InputError(
                    f"{name} is {value!r}; it must be a whole number of pixels from 16 to 4096, such as 192"
                )

    @classmethod
    def examples(cls) -> tuple[Self, ...]:
        return (cls(128),)

    def plan(self, graph: Graph, target: Target) -> Plan:
        if len(graph.inputs) != 1 or len(graph.inputs[0].shape) != 4:
            raise NotApplicable("the network does not read one image [N, C, H, W]")
        image = graph.inputs[0]
        last = graph.channels_last(image.name)
        channels, *size = (image.shape[3], *image.shape[1:3]) if last else image.shape[1:]
        new_size = (self.height, self.width or self.height)
        if tuple(size) == new_size:
            raise NotApplicable(f"the network already reads images of {size[0]} x {size[1]}")
        return Plan((SetInput((*new_size, channels) if last else (channels, *new_size)),))
