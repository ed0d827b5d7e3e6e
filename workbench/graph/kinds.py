"""The kinds of operators: one table with a row a kind, and the families the rest of the package asks for.

All sizes in attributes are in elements:

    kernel stride padding dilation output_padding    an (h, w) pair each; an int each in conv1d and avg_pool1d
    axes                dimensions, ascending, counted from the front
    keepdim             whether a reduced dimension stays as 1
    reverse             of a recurrent layer: whether it runs from the last step to the first
    activation          of an rnn: "tanh" or "relu"
    alpha scale input_scale    of an elu: scale * (x where x > 0, else alpha * (exp(input_scale * x) - 1))
    scalar              the second operand of arithmetic where it is a number; reverse: it is the first one
    dims                of a reshape: per output dimension the tuple of input dimensions it merges (() for a literal 1),
                        or None where the reshape splits or mixes dimensions
    pads                one (before, after) pair a dimension
    compress            of any kind with a weight: the schemes (`compress.py`) that change its values, in their order; a
                        trace never has it, because it sees no values

Global average pooling is a `mean` over (2, 3), `norm` is the Euclidean one, `addcmul` is the first input and the
product of the other two, `lstm`, `gru` and `rnn` are one layer in one direction over the first dimension, from zeros,
`param` is a tensor read from the model (position tables, layer scale), `avg_pool1d` has no padding.

A kind without a row is the exporter's own name ("aten.cumsum"): no rule is known for it, and whoever meets it reports
it rather than skips it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

__all__ = [
    "ACTIVATIONS",
    "ADAPTIVE_POOLS",
    "AFFINE",
    "ARITHMETIC",
    "BOUNDED",
    "CONVOLUTIONS",
    "FUNCTIONS",
    "KINDS",
    "LAYERS",
    "NONLINEARITIES",
    "NORMS",
    "PADS",
    "PLAIN_LAYERS",
    "POOLS_2D",
    "PRODUCTS",
    "RECTIFIERS",
    "RECURRENT",
    "REDUCTIONS",
    "SEPARATE_ACTIVATIONS",
    "SMOOTH_RECTIFIERS",
    "SOURCES",
    "STATELESS_ACTIVATIONS",
    "WINDOWS",
    "WINDOW_POOLS",
    "Kind",
]

Family = Literal[
    "source",
    "layer",
    "norm",
    "activation",
    "function",
    "arithmetic",
    "pool",
    "reduction",
    "softmax",
    "layout",
    "product",
    "recurrent",
]


@dataclass(frozen=True)
class Kind:
    """What holds for every operator of a kind.

    attrs: names of the attributes each has. optional: those that some have besides. params: roles of the parameters it
    reads where the module has them, in torch's order.
    traits: "window" (a window slides over a map, by a kernel and a stride), "pads" (elements are added at the ends of
    dimensions), "bounded" (values lie between two bounds), "rectifier" (a bound below, and perhaps above, which
    compilers fold into the layer before), "smooth" (a smooth variant of the rectifier), "separate" (compilers make a
    pass of its own of it, or several).
    """

    name: str
    family: Family
    attrs: frozenset[str] = frozenset()
    optional: frozenset[str] = frozenset()
    params: tuple[str, ...] = ()
    traits: frozenset[str] = frozenset()


def _row(
    name: str, family: Family, attrs: str = "", optional: str = "", params: str = "", traits: str = ""
) -> tuple[str, Kind]:
    if "weight" in params.split():
        optional += " compress"
    sets = [frozenset(names.split()) for names in (attrs, optional, traits)]
    return name, Kind(name, family, sets[0], sets[1], tuple(params.split()), sets[2])


KINDS: Mapping[str, Kind] = MappingProxyType(
    dict(
        (
            _row("input", "source"),
            _row("param", "source", params="value"),
            _row("conv2d", "layer", "kernel stride padding dilation groups", params="weight bias", traits="window"),
            _row("conv1d", "layer", "kernel stride padding dilation groups", params="weight bias"),
            _row(
                "conv_transpose2d",
                "layer",
                "kernel stride padding output_padding dilation groups",
                params="weight bias",
            ),
            _row("linear", "layer", params="weight bias"),
            _row("batch_norm", "norm", "eps", params="weight bias running_mean running_var"),
            _row("layer_norm", "norm", "eps axes", params="weight bias"),
            _row("rms_norm", "norm", "eps axes", params="weight"),
            _row("group_norm", "norm", "eps groups", params="weight bias"),
            _row("instance_norm", "norm", "eps", params="weight bias"),
            _row("relu", "activation", traits="rectifier"),
            _row("relu6", "activation", traits="rectifier bounded"),
            _row("hard_swish", "activation", traits="separate"),
            _row("hard_sigmoid", "activation", traits="separate bounded"),
            _row("silu", "activation", traits="separate smooth"),
            _row("sigmoid", "activation", traits="separate bounded"),
            _row("tanh", "activation", traits="separate bounded"),
            _row("gelu", "activation", optional="approximate", traits="separate smooth"),
            _row("mish", "activation", traits="separate smooth"),
            _row("elu", "activation", optional="alpha scale input_scale", traits="separate smooth"),
            _row("leaky_relu", "activation", "slope"),
            _row("prelu", "activation", params="weight"),
            _row("clamp", "function", "low high", traits="bounded"),
            _row("softplus", "function", traits="separate"),
            _row("exp", "function"),
            _row("log", "function"),
            _row("sqrt", "function"),
            _row("rsqrt", "function"),
            _row("abs", "function"),
            _row("neg", "function"),
            _row("pow", "function", "exponent"),
            _row("add", "arithmetic", optional="scalar reverse"),
            _row("sub", "arithmetic", optional="scalar reverse"),
            _row("mul", "arithmetic", optional="scalar reverse"),
            _row("div", "arithmetic", optional="scalar reverse"),
            _row("maximum", "arithmetic", optional="scalar"),
            _row("minimum", "arithmetic", optional="scalar"),
            _row("addcmul", "arithmetic"),
            _row("max_pool2d", "pool", "kernel stride padding dilation ceil", traits="window"),
            _row("avg_pool2d", "pool", "kernel stride padding ceil count_include_pad", traits="window"),
            _row("avg_pool1d", "pool", "kernel stride"),
            _row("adaptive_avg_pool2d", "pool", "size"),
            _row("adaptive_max_pool2d", "pool", "size"),
            _row("mean", "reduction", "axes keepdim"),
            _row("sum", "reduction", "axes keepdim"),
            _row("amax", "reduction", "axes keepdim"),
            _row("amin", "reduction", "axes keepdim"),
            _row("norm", "reduction", "axes keepdim"),
            _row("var", "reduction", "axes keepdim correction"),
            _row("softmax", "softmax", "axis", traits="bounded"),
            _row("log_softmax", "softmax", "axis"),
            _row("reshape", "layout", "dims"),
            _row("permute", "layout", "axes"),
            _row("concat", "layout", "axis"),
            _row("slice", "layout", "axis start stop step"),
            _row("pad", "layout", "pads value", traits="pads"),
            _row("reflect_pad", "layout", "pads", traits="pads"),
            _row("roll", "layout", "axes shifts"),
            _row("expand", "layout", "size"),
            _row("resize", "layout", "mode size", "align_corners"),
            _row("matmul", "product"),
            _row("attention", "product", optional="scale causal"),
            _row("lstm", "recurrent", "reverse", params="weight_ih weight_hh bias_ih bias_hh"),
            _row("gru", "recurrent", "reverse", params="weight_ih weight_hh bias_ih bias_hh"),
            _row("rnn", "recurrent", "reverse activation", params="weight_ih weight_hh bias_ih bias_hh"),
        )
    )
)


def _family(family: Family) -> frozenset[str]:
    return frozenset(kind.name for kind in KINDS.values() if kind.family == family)


def _trait(trait: str) -> frozenset[str]:
    return frozenset(kind.name for kind in KINDS.values() if trait in kind.traits)


SOURCES = _family("source")  # no work: what enters the network, and what the model holds
LAYERS = _family("layer")  # sums over the channels they read, with a weight
CONVOLUTIONS = LAYERS - {"linear"}
PLAIN_LAYERS = frozenset(("conv2d", "linear"))  # what most networks consist of: folds a batch norm, can be compressed
NORMS = _family("norm")
ACTIVATIONS = _family("activation")
STATELESS_ACTIVATIONS = frozenset(kind for kind in ACTIVATIONS if not KINDS[kind].params)
NONLINEARITIES = ACTIVATIONS | {"clamp"}  # a clamp is an activation with other bounds
RECTIFIERS = _trait("rectifier")
BOUNDED = _trait("bounded")
SEPARATE_ACTIVATIONS = _trait("separate")
SMOOTH_RECTIFIERS = tuple(kind for kind in KINDS if kind in _trait("smooth"))  # in the order in which plans name them
FUNCTIONS = _family("function")  # elementwise, of one tensor
ARITHMETIC = _family("arithmetic")  # elementwise, of several tensors that broadcast, or of one and a number
AFFINE = frozenset(("add", "sub", "mul", "div"))  # with a constant: a scale or a shift
WINDOWS = _trait("window")
POOLS_2D = _family("pool") - {"avg_pool1d"}
WINDOW_POOLS = POOLS_2D & WINDOWS
ADAPTIVE_POOLS = POOLS_2D - WINDOWS
REDUCTIONS = _family("reduction")
PADS = _trait("pads")
PRODUCTS = _family("product")  # products of feature maps
RECURRENT = _family("recurrent")
