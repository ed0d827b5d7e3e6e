"""Another input resolution."""

from dataclasses import dataclass

from ..errors import InputError, NotApplicable
from ..graph import Graph, Plan, SetInput
from ..targets import Target
from .base import Transform

__all__ = ["InputSize"]


@dataclass(frozen=True)
class InputSize(Transform):
    """Let the network read images of another size; no weight changes.

    height, width: pixels, 16 to 4096; width None is the height again.

    Flattened maps and attention on them follow. Refused where only the network's code knows what another size would
    do: a table of positions, windows, pixels moved into channels, a map flattened into the classifier.

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

    def plan(self, graph: Graph, target: Target) -> Plan:
        if len(graph.inputs) != 1 or len(graph.inputs[0].shape) != 4:
            raise NotApplicable("the network does not read one image [N, C, H, W]")
        channels, *now = graph.inputs[0].shape[1:]
        wanted = (self.height, self.width or self.height)
        if tuple(now) == wanted:
            raise NotApplicable(f"the network already reads images of {now[0]} x {now[1]}")
        fixed = next(((path, cls) for path, cls in graph.modules if cls in _FIXED), None)
        if fixed is not None:
            raise NotApplicable(f"{fixed[0]} ({fixed[1].rpartition('.')[2]}) is made for one image size")
        return Plan((SetInput((channels, *wanted)),))


# Modules whose code holds the image size.
_FIXED = frozenset(
    (
        "timm.layers.patch_embed.PatchEmbed",
        "timm.layers.hybrid_embed.HybridEmbed",
        "timm.models.crossvit.PatchEmbed",
    )
)
