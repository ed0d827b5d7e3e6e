"""One operator of the deployed network."""

from math import prod
from typing import NamedTuple

__all__ = ["COMPARISONS", "HwOp", "Shape"]

Shape = tuple[int, ...]
COMPARISONS = frozenset(["GREATER", "GREATER_EQUAL"])  # they make booleans


class HwOp(NamedTuple):
    """One operator of the deployed file and the tensor it computes.

    kind: TFLite's name ("CONV_2D"), "INPUT", or "UNSUPPORTED:<kind>". shape: as deployed (channels last).
    weight: OHWI (depthwise: 1HWC; fully connected: OI); None without weights. act: fused activation, "NONE",
    "RELU", "RELU6" or "RELU_N1_TO_1". stride, dilation: (h, w). same: SAME padding, else VALID. const: a second operand
    that is constant, as (role, value): ("scalar", 0.5), (a role of a parameter | "mean" | "rsqrt" | "value" |
    "inverse", name of the graph operator that owns it) or, of a concatenation, ("values", ((position, name), ...)),
    turned to channels last where a 1 stands behind the axis in extra; const_first: it stands before the operand that
    is not. extra: other numbers that the file's options need (pads, axes, borders, sizes); of a constant "value" its
    elements, whether it is turned to channels last, and its shape then; of a recurrent layer's fully connected ones 0
    for what reads its input, 1 for what reads its state, 2 for its input with the biases of both, of its biases which;
    of a bicubic resize's ones the axis; of a PReLU's weight 1 where its channels stand in torch's order.
    sources: graph operators it stands for; the first one is charged for it. folds: the layer whose weights these
    are and what is folded into them; before: a layer norm whose scale and shift are folded into the weights, scalars:
    arithmetic with one number each that is, too, in the order it runs before the layer.
    real: the operator reads real numbers, because the quantiser knows no integer form of it, and makes a float32
    tensor (a comparison: booleans). bits: of an element; 32 inside of operators that an accelerator puts together of
    others.
    """

    name: str
    kind: str
    inputs: tuple[str, ...]
    shape: Shape
    sources: tuple[str, ...]
    weight: Shape | None = None
    groups: int = 1
    bias: bool = False
    act: str = "NONE"
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    kernel: tuple[int, int] = (1, 1)
    same: bool = False
    const: tuple[str, object] | None = None
    extra: tuple[int, ...] = ()
    folds: tuple[str, ...] = ()
    before: str = ""
    scalars: tuple[str, ...] = ()
    const_first: bool = False
    real: bool = False
    bits: int = 8

    @property
    def elements(self) -> int:
        return prod(self.shape)

    @property
    def macs(self) -> int:
        """Multiply-accumulates (one counts as one)."""
        if self.weight is None:
            return 0
        if self.kind == "DEPTHWISE_CONV_2D":
            return self.elements * self.weight[1] * self.weight[2]
        return self.elements * prod(self.weight[1:])
