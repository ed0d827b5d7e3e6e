"""The one currency: a Plan is a tuple of primitive edits on a Graph.

Transforms make plans, recipes and searches are made of them, `rewrite` turns (Graph, Plan) into the edited
Graph, and surgery carries the same edits out on a module. There are no other edits.

`Resize`, `SetSpatial`, `SetInput` and `Compress` change numbers of layers that stay: a transform that plans these alone
needs no new surgery. `ReplaceBlock`, `FuseLayers` and `ExchangeLayer` put other modules in the place of old ones, and
surgery knows how to build and initialise certain classes and layers; it refuses the others with a SurgeryError. A
transform that plans another class in `ReplaceBlock` needs a builder for it, another layer in `ExchangeLayer` a rule for
its weights. `RemoveModule` needs neither.
"""

from dataclasses import dataclass
from typing import Literal, get_args

from ..errors import InputError, unknown
from .compress import Scheme
from .op import Op

__all__ = [
    "Compress",
    "DenseInit",
    "Edit",
    "ExchangeLayer",
    "FuseLayers",
    "LayerInit",
    "Plan",
    "RemovalInit",
    "RemoveModule",
    "ReplaceBlock",
    "Replacement",
    "Resize",
    "SetInput",
    "SetSpatial",
]


DenseInit = Literal["compose", "least-squares"]
LayerInit = Literal["embed", "least-squares"]
RemovalInit = Literal["identity", "least-squares"]


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
class ReplaceBlock:
    """Put a module of another class in the place of a block that is a module of its own.

    module: path of the block. module_class: full name of the class that takes its place; surgery has a builder for
    each (`surgery/replace_block.py`). ops: the operators that go. new_ops: the operators that come, in execution order;
    they read tensors from outside the block or from each other, and the last one takes over the name, hence the
    consumers, of the last of `ops`.

    init: how surgery fills the weights: "compose" (the product of the old layers without the activations between them)
    or "least-squares" (on calibration images; as "compose" without them).
    """

    module: str
    module_class: str
    ops: tuple[str, ...]
    new_ops: tuple[Op, ...]
    init: DenseInit = "least-squares"

    def __post_init__(self) -> None:
        _check_init(self.init, get_args(DenseInit))
        _check_ops(self.ops, self.new_ops)


@dataclass(frozen=True)
class FuseLayers:
    """Put one dense convolution in the place of an expansion, what follows it, and its depthwise convolution.

    ops: the operators that go; the last one makes the output of the depthwise layer. new_ops: the padding that stays,
    if any, and the dense convolution, which takes over the name, hence the consumers, of the last of `ops`. It stands
    at the path of the depthwise layer; the modules of the other operators become identities. module_class: full name of
    its class, that of the depthwise convolution; of several on slices of one tensor it takes the place of the module
    around them.

    init: "compose" or "least-squares", as in `ReplaceBlock`.
    """

    ops: tuple[str, ...]
    new_ops: tuple[Op, ...]
    module_class: str
    init: DenseInit = "least-squares"

    def __post_init__(self) -> None:
        _check_init(self.init, get_args(DenseInit))
        _check_ops(self.ops, self.new_ops)


@dataclass(frozen=True)
class ExchangeLayer:
    """Put another layer of the same inputs in the place of one: a dense convolution, another kernel, an activation.

    op: the operator that goes. new_op: the operator that comes; it takes over the name, hence the consumers. Its module
    stays at its path.

    init: "embed" (exact: a depthwise kernel on the diagonal of a dense one, a small kernel in the middle of a larger
    one; nothing to do for layers without weights) or "least-squares" (on calibration images; without them the middle
    of the old kernel).
    """

    op: str
    new_op: Op
    init: LayerInit = "embed"

    def __post_init__(self) -> None:
        _check_init(self.init, get_args(LayerInit))

    @property
    def ops(self) -> tuple[str]:
        """The operators that go, as other edits name them."""
        return (self.op,)

    @property
    def new_ops(self) -> tuple[Op]:
        """The operators that come, as other edits name them."""
        return (self.new_op,)


@dataclass(frozen=True)
class RemoveModule:
    """Take a module out: what it reads goes on as what it makes.

    module: its path. ops: all its operators; the last one makes its output.

    init: "identity" or "least-squares" (of a gate: what it multiplies by on average over the calibration images goes
    into a layer beside it; without them as "identity").
    """

    module: str
    ops: tuple[str, ...]
    init: RemovalInit = "identity"

    def __post_init__(self) -> None:
        _check_init(self.init, get_args(RemovalInit))
        _check_ops(self.ops)

    @property
    def new_ops(self) -> tuple[()]:
        """The operators that come: none."""
        return ()


def _check_init(init: str, choices: tuple[str, ...]) -> None:
    if init not in choices:
        raise unknown("initialiser", init, choices)


def _check_ops(ops: tuple[str, ...], new_ops: tuple[Op, ...] | None = None) -> None:
    if not ops:
        raise InputError("ops is (): an edit changes at least one operator")
    if new_ops == ():
        raise InputError(f"new_ops is (), in the place of {ops[-1]!r}; RemoveModule takes a module out")


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
    """Another input shape without the batch: (channels, height, width), or (height, width, channels) as it stands."""

    shape: tuple[int, int, int]


@dataclass(frozen=True)
class Compress:
    """Change the values of an operator's weight without changing shapes (`compress.py` has the schemes).

    It stays with the operator, and with every other one that reads the same weight: schemes of several edits apply
    in their order, and once more to what a later edit resizes or puts in its place.
    """

    op: str
    scheme: Scheme


Replacement = ReplaceBlock | FuseLayers | ExchangeLayer | RemoveModule
Edit = Resize | Replacement | SetSpatial | SetInput | Compress


@dataclass(frozen=True)
class Plan:
    """Edits in the order in which they apply; composing plans is adding them."""

    edits: tuple[Edit, ...] = ()

    def __add__(self, other: "Plan") -> "Plan":
        return Plan(self.edits + other.edits)

    def __bool__(self) -> bool:
        return bool(self.edits)
