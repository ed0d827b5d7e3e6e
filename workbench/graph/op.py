"""One operator of a network, the tensor it makes and the parameters it reads."""

from dataclasses import dataclass, field, replace
from functools import cached_property
from math import prod
from typing import Any

from .kinds import LAYERS

__all__ = ["Op", "Param", "is_computed"]


@dataclass(frozen=True)
class Param:
    """A tensor of the model that an operator reads.

    role: "weight", "bias", "running_mean", "running_var" or "value".
    name: its key in the module's state_dict (or the nearest stable path where it is computed).
    computed: whether the module computes it from its parameters, as it does standardised weights.
    parts: the module's parameters that it holds or is computed from, as (state_dict key, shape), with None in a shape
    for a dimension that is as long as its own; () for a buffer or a constant. None: the parameter of its name.
    """

    role: str
    name: str
    shape: tuple[int, ...]
    computed: bool = field(default=False, repr=False)  # not in the repr: digests are made of it
    parts: tuple[tuple[str, tuple[int | None, ...]], ...] | None = field(default=None, repr=False)

    @property
    def parameters(self) -> tuple[tuple[str, tuple[int, ...]], ...]:
        """The module's parameters behind it: (state_dict key, shape)."""
        if self.role.startswith("running"):
            return ()
        if self.parts is None:
            return ((self.name, self.shape),)
        return tuple(
            (name, tuple(self.shape[i] if n is None else n for i, n in enumerate(shape))) for name, shape in self.parts
        )


@dataclass(frozen=True)
class Op:
    """One operator and the tensor it makes; `op["stride"]` reads an attribute.

    name: of the operator and of its output tensor, unique in the graph.
    kind: a row of `kinds.KINDS`, or the exporter's own name ("aten.cumsum").
    inputs: names of the tensors it reads. shape: of its output. module: path of the module whose code runs it.
    """

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
        """Computed once: edited graphs share their operators, and caches hash them again and again."""
        value = self.__dict__.get("_hash")
        if value is None:
            fields = self.name, self.kind, self.inputs, self.shape, self.attrs, self.params, self.module
            value = self.__dict__["_hash"] = hash(fields)
        return int(value)

    def __getstate__(self) -> dict[str, Any]:
        """The fields alone are pickled: text hashes differently in another process."""
        return {name: self.__dict__[name] for name in self.__dataclass_fields__}

    def get(self, key: str, default: Any = None) -> Any:
        """The attribute of that name, the default where the operator has none."""
        for name, value in self.attrs:
            if name == key:
                return value
        return default

    def param(self, role: str) -> Param | None:
        """The parameter in that role, None where the operator reads none."""
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
        return prod(self.shape)

    @property
    def weight_shape(self) -> tuple[int, ...]:
        """Shape of its weight, as torch stores it; asserts that it has one."""
        weight = self.param("weight")
        assert weight is not None, f"{self.name} has no weight"
        return weight.shape

    @property
    def is_depthwise(self) -> bool:
        """A convolution with one input channel a group (channel multipliers included)."""
        return self.kind == "conv2d" and self["groups"] > 1 and self.weight_shape[1] == 1

    @cached_property
    def macs(self) -> int:
        """Multiply-accumulates of a convolution or linear layer; 0 for what depends on its input (see `Graph.macs`)."""
        if self.kind in LAYERS and self.kind != "conv_transpose2d":
            return prod(self.weight_shape[1:]) * self.elements
        return 0


def is_computed(op: Op) -> bool:
    """A constant the exporter folded and named; no parameter of that name stands behind it."""
    return op.kind == "param" and bool(op.params) and op.params[0].name.rpartition(".")[2] == op.name
