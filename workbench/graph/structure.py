"""The operators of a network, who reads whom and the module tree: what blocks and channels are derived from."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType

from .kinds import ACTIVATIONS, ARITHMETIC, FUNCTIONS
from .op import Op

__all__ = ["Structure"]

_ELEMENTWISE = ACTIVATIONS | FUNCTIONS | ARITHMETIC | {"aten.to", "aten._to_copy"}


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
        """Whether an input is [N, H, W, C]: all that reads it moves its last axis to the second place.

        It may be scaled and shifted before.
        """
        readers = self.consumers[name]
        return bool(readers) and all(self._moves_last(op, name) for op in readers)

    def _moves_last(self, op: Op, name: str) -> bool:
        """Whether the operator moves the last axis of a tensor, or is elementwise and all that reads it does."""
        if op.kind in _ELEMENTWISE and op.shape == self.by_name[name].shape:
            return self.channels_last(op.name)
        return op.kind == "permute" and op["axes"] in ((0, 3, 1, 2), (0, 3, 2, 1))
