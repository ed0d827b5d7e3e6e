"""The frozen graph: what every other part of the workbench reads.

One operator has one output, so an operator's name is also its tensor's name. Shapes are torch's (batch
first, channels second), batch is 1. Operators stand in the order in which they run; batch norms, activations
and dropped branches stand as the module has them, because surgery needs them: what the deployed network
looks like is the target's business (lowering).

Kinds and their attributes (all sizes in elements):

    input                                       the network's input
    param                                       a tensor read from the model (position tables, layer scale); one Param
    conv2d      kernel stride padding dilation groups      (each of the first four an (h, w) pair)
    conv1d      kernel stride padding dilation groups      (each of the first four an int)
    conv_transpose2d  kernel stride padding output_padding dilation groups
    linear
    batch_norm  eps
    layer_norm  eps axes        rms_norm  eps axes        group_norm  eps groups
    relu relu6 hard_swish hard_sigmoid silu sigmoid tanh gelu mish elu softplus exp sqrt rsqrt abs neg
    leaky_relu  slope           prelu           clamp  low high
    addcmul                     the first and the product of the other two
    add sub mul div maximum minimum  (two inputs, or one and `scalar`)      pow  exponent
    max_pool2d  kernel stride padding dilation ceil
    avg_pool2d  kernel stride padding ceil count_include_pad
    avg_pool1d  kernel stride   (no padding)
    adaptive_avg_pool2d  size   adaptive_max_pool2d size
    mean sum amax norm  axes keepdim            (global average pooling is a mean over (2, 3); norm: Euclidean)
    var         axes keepdim correction
    reshape     dims            per output dimension the tuple of input dimensions it merges (() for a literal 1),
                                or None where the reshape splits or mixes dimensions
    permute     axes            concat  axis            slice  axis start stop step
    pad         pads value      pads: one (before, after) pair per dimension
    reflect_pad pads            roll    axes shifts         expand  size
    resize      mode size       matmul          softmax  axis
    attention                   scaled dot product of query, key, value
    any kind    compress        schemes (`compress.py`) by which its weight's values are changed, in their order;
                                a trace never has it, because it sees no values
    Any other kind is the exporter's own name ("aten.lstm"): no rule is known for it, and whoever meets it
    reports it rather than skips it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import sha256
from math import prod
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .blocks import Block
    from .channels import Channels
    from .origin import Origin

__all__ = ["Graph", "Op", "Param", "is_computed"]


@dataclass(frozen=True)
class Param:
    """A tensor of the model an operator reads.

    role: "weight", "bias", "running_mean", "running_var" or "value".
    name: its key in the module's state_dict (or the nearest stable path where it is computed).
    computed: whether the module works it out of its parameters, as it does standardised weights.
    """

    role: str
    name: str
    shape: tuple[int, ...]
    computed: bool = field(default=False, repr=False)  # not in the repr: digests are made of it


@dataclass(frozen=True)
class Op:
    """One operator and the tensor it makes; `op["stride"]` reads an attribute."""

    name: str
    kind: str
    inputs: tuple[str, ...]
    shape: tuple[int, ...]
    attrs: tuple[tuple[str, Any], ...] = ()
    params: tuple[Param, ...] = ()
    module: str = ""

    def __getitem__(self, key: str) -> Any:
        for name, value in self.attrs:
            if name == key:
                return value
        raise KeyError(key)

    def __hash__(self) -> int:
        """Computed once: edited graphs share their operators, and caches are asked about them again and again."""
        found = self.__dict__.get("_hash")
        if found is None:
            fields = self.name, self.kind, self.inputs, self.shape, self.attrs, self.params, self.module
            found = self.__dict__["_hash"] = hash(fields)
        return int(found)

    def __getstate__(self) -> dict[str, Any]:
        """What travels to other processes: the fields, as text hashes differently there."""
        return {name: self.__dict__[name] for name in self.__dataclass_fields__}

    def get(self, key: str, default: Any = None) -> Any:
        for name, value in self.attrs:
            if name == key:
                return value
        return default

    def param(self, role: str) -> Param | None:
        for param in self.params:
            if param.role == role:
                return param
        return None

    def with_attrs(self, **changes: Any) -> "Op":
        """The same operator with some attributes replaced or added."""
        merged = {**dict(self.attrs), **changes}
        return replace(self, attrs=tuple(sorted(merged.items())))

    @property
    def elements(self) -> int:
        """Elements of the output tensor."""
        n = 1
        for d in self.shape:
            n *= d
        return n

    @property
    def is_depthwise(self) -> bool:
        """A convolution with one input channel a group (channel multipliers included)."""
        return self.kind == "conv2d" and self["groups"] > 1 and self._weight_shape[1] == 1

    @property
    def _weight_shape(self) -> tuple[int, ...]:
        weight = self.param("weight")
        assert weight is not None, f"{self.name} has no weight"
        return weight.shape

    @cached_property
    def macs(self) -> int:
        """Multiply-accumulates of a convolution or linear layer (0 for all others; matmuls: see Graph.macs)."""
        if self.kind in ("conv2d", "conv1d", "linear"):
            per_output = 1
            for d in self._weight_shape[1:]:
                per_output *= d
            return per_output * self.elements
        return 0


@dataclass(frozen=True)
class Graph:
    """Operators in execution order, the tensors that leave the network, and the module tree they came from.

    modules: (path, qualified class name) of every module, parents before children.
    origin: what it was traced from, None where that is not at hand (read from a file, sent to another process); not
    part of what the graph is.
    """

    ops: tuple[Op, ...]
    outputs: tuple[str, ...]
    modules: tuple[tuple[str, str], ...] = ()
    origin: "Origin | None" = field(default=None, repr=False, compare=False)

    def __hash__(self) -> int:
        """Computed once, as that of its operators."""
        found = self.__dict__.get("_hash")
        if found is None:
            found = self.__dict__["_hash"] = hash((self.ops, self.outputs, self.modules))
        return int(found)

    def __getstate__(self) -> dict[str, Any]:
        """What travels to other processes: what the graph is, not what is cached beside it or where it comes from."""
        return {"ops": self.ops, "outputs": self.outputs, "modules": self.modules}

    @cached_property
    def by_name(self) -> Mapping[str, Op]:
        return MappingProxyType({op.name: op for op in self.ops})

    @cached_property
    def consumers(self) -> Mapping[str, tuple[Op, ...]]:
        """Tensor name -> the operators that read it, in execution order."""
        found: dict[str, list[Op]] = {op.name: [] for op in self.ops}
        for op in self.ops:
            for name in dict.fromkeys(op.inputs):
                found[name].append(op)
        return MappingProxyType({name: tuple(ops) for name, ops in found.items()})

    @cached_property
    def classes(self) -> Mapping[str, str]:
        """Module path -> qualified class name."""
        return MappingProxyType(dict(self.modules))

    @property
    def inputs(self) -> tuple[Op, ...]:
        return tuple(op for op in self.ops if op.kind == "input")

    @cached_property
    def block_starts(self) -> tuple[int, ...]:
        """Places among the operators where a block begins, 0 and the end included."""
        place = {op.name: i for i, op in enumerate(self.ops)}
        return tuple(sorted({0, len(self.ops), *(place[block.ops[0]] for block in self.blocks)}))

    @cached_property
    def blocks(self) -> "tuple[Block, ...]":
        """The building blocks, in execution order; every operator but inputs belongs to exactly one."""
        from .blocks import find_blocks

        return find_blocks(self)

    @cached_property
    def channels(self) -> "Channels":
        """Which channels move together (see `channels.py`)."""
        from .channels import trace_channels

        return trace_channels(self)

    @cached_property
    def macs(self) -> int:
        """Multiply-accumulates of one inference; one multiply-accumulate counts as one."""
        total = sum(op.macs for op in self.ops)
        for op in self.ops:
            if op.kind == "matmul":
                total += op.elements * self.by_name[op.inputs[0]].shape[-1]
            elif op.kind == "attention":  # query by key, then their weights by value
                query, keys = self.by_name[op.inputs[0]], self.by_name[op.inputs[1]].shape[-2]
                total += (query.elements + op.elements) * keys
            elif op.kind == "conv_transpose2d":
                total += self.by_name[op.inputs[0]].elements * prod(op._weight_shape[1:])
        return total

    @cached_property
    def params(self) -> int:
        """Trainable values: weights, biases and `value`s, each counted once where modules are shared."""
        seen = {p.name: p.shape for op in self.ops for p in op.params if not p.role.startswith("running")}
        total = 0
        for shape in seen.values():
            n = 1
            for d in shape:
                n *= d
            total += n
        return total

    @cached_property
    def digest(self) -> str:
        """Content hash (16 hex digits): equal for equal graphs on any machine."""
        return sha256(repr((self.ops, self.outputs)).encode()).hexdigest()[:16]


def is_computed(op: Op) -> bool:
    """A constant the exporter folded and named; no parameter of that name stands behind it."""
    return op.kind == "param" and bool(op.params) and op.params[0].name.rpartition(".")[2] == op.name
