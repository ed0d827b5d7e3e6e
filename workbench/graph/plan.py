"""The one currency: a Plan is a tuple of primitive edits on a Graph.

Transforms make plans, recipes and searches are made of them, `rewrite` turns (Graph, Plan) into the edited
Graph, and surgery carries the same edits out on a module. There are no other edits: a new transform needs no
new surgery.
"""

from dataclasses import dataclass

from .compress import Scheme
from .op import Op

__all__ = ["Compress", "Edit", "Plan", "Replace", "Resize", "SetInput", "SetSpatial"]


@dataclass(frozen=True)
class Resize:
    """Give a channel segment another width.

    keep: which channels stay when it shrinks: decided by surgery from the weights ("importance": their magnitude;
    "batch-norm") or on calibration images ("taylor"), or the indices themselves. New channels are appended when it
    grows.
    """

    segment: str
    width: int
    keep: str | tuple[int, ...] = "importance"


@dataclass(frozen=True)
class Replace:
    """Put `new_ops` where `ops` stood; no new operators means rewire to identity.

    The last new operator takes over the name, hence the consumers, of the last replaced one. `new_ops` read
    tensors from outside the replaced set or from each other.

    init: how surgery fills the new weights: "embed" (exact: a depthwise kernel on the diagonal of a dense one, a
    small kernel in the middle of a larger one; layers without weights), "least-squares" (on calibration images;
    composed or cropped weights without them; where a gate is taken out, what it multiplies by on average goes into
    a layer beside it) or "random".
    module, template: the block whose whole module is replaced, or taken out where there are no new operators, and the
    class that takes its place ("EdgeResidual"; a convolution, for several on slices); empty where layers are exchanged
    in their own places: one for one, or one dense convolution, in the place of the last, for an expansion and its
    depthwise convolution, and the others taken out.
    """

    ops: tuple[str, ...]
    new_ops: tuple[Op, ...]
    init: str = "random"
    module: str = ""
    template: str = ""


@dataclass(frozen=True)
class SetSpatial:
    """Change the stride, dilation or padding of one operator; padding that its layer's code does stands before it.

    same: let its layer, a plain convolution or pool, pad as TensorFlow's "SAME" does, in place of its own padding.
    """

    op: str
    stride: tuple[int, int] | None = None
    dilation: tuple[int, int] | None = None
    padding: tuple[int, int] | None = None
    same: bool = False


@dataclass(frozen=True)
class SetInput:
    """Another input shape, (channels, height, width)."""

    shape: tuple[int, int, int]


@dataclass(frozen=True)
class Compress:
    """Change the values of an operator's weight without changing shapes (`compress.py` has the schemes).

    It stays with the operator, and with every other one that reads the same weight: schemes of several edits apply
    in their order, and once more to what a later edit resizes or puts in its place.
    """

    op: str
    scheme: Scheme


Edit = Resize | Replace | SetSpatial | SetInput | Compress


@dataclass(frozen=True)
class Plan:
    """Edits in the order in which they apply; composing plans is adding them."""

    edits: tuple[Edit, ...] = ()

    def __add__(self, other: "Plan") -> "Plan":
        return Plan(self.edits + other.edits)

    def __bool__(self) -> bool:
        return bool(self.edits)
