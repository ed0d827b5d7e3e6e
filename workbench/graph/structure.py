"""The operators of a network, who reads whom and the module tree: what blocks and channels are derived from."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType

from .op import Op

__all__ = ["Structure"]


@dataclass(frozen=True)
class Structure:
    """Operators in execution order, the tensors that leave the network, and the module tree they came from.

    modules: (path, qualified class name) of every module, parents before children.
    """

    ops: tuple[Op, ...]
    outputs: tuple[str, ...]
    modules: tuple[tuple[str, str], ...] = ()

    @cached_property
    def by_name(self) -> Mapping[str, Op]:
        """Tensor name -> the operator that makes it."""
        return MappingProxyType({op.name: op for op in self.ops})

    @cached_property
    def consumers(self) -> Mapping[str, tuple[Op, ...]]:
        """Tensor name -> the operators that read it, in execution order."""
        readers: dict[str, list[Op]] = {op.name: [] for op in self.ops}
        for op in self.ops:
            for name in dict.fromkeys(op.inputs):
                readers[name].append(op)
        return MappingProxyType({name: tuple(ops) for name, ops in readers.items()})

    @cached_property
    def classes(self) -> Mapping[str, str]:
        """Module path -> qualified class name."""
        return MappingProxyType(dict(self.modules))

    @property
    def inputs(self) -> tuple[Op, ...]:
        """The operators that stand for the network's inputs."""
        return tuple(op for op in self.ops if op.kind == "input")

    def channels_last(self, name: str) -> bool:
        """Whether an input is [N, H, W, C]: everything that reads it first moves its last axis to the second place."""
        moves = [op["axes"] if op.kind == "permute" else () for op in self.consumers[name]]
        return bool(moves) and all(axes in ((0, 3, 1, 2), (0, 3, 2, 1)) for axes in moves)
