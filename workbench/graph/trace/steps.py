"""The operators that one exported node becomes, one after the other."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from ..op import Param
from ..reshapes import reshape_dims
from .values import Constant, FeatureMap

__all__ = ["CompositeRule", "Shape", "Steps", "Value"]

Shape = tuple[int, ...]
Value = FeatureMap | Constant
_NONE: Mapping[str, Constant] = MappingProxyType({})


class Steps:
    """Emits the operators that one exported node becomes.

    emit: adds an operator (name, kind, inputs, shape, attributes, parameters, module). read: the name of a value.
    parameters: constants by role, for a module's operator. others: what a rule makes besides its first result.
    """

    def __init__(
        self,
        emit: Callable[..., FeatureMap],
        read: Callable[[Any], str],
        parameters: Callable[[Mapping[str, Constant], str], tuple[Param, ...]],
        name: str,
        module: str,
    ) -> None:
        self._emit, self._read, self._parameters, self.name, self.module = emit, read, parameters, name, module
        self._count = 0
        self.others: tuple[Value, ...] = ()

    def step(
        self, kind: str, inputs: Sequence[Value], shape: Shape, roles: Mapping[str, Constant] = _NONE, **attrs: Any
    ) -> FeatureMap:
        """An operator that reads these values, and constants as its parameters."""
        self._count += 1
        params = self._parameters(roles, self.module)
        names = tuple(self._read(value) for value in inputs)
        return self._emit(f"{self.name}_{self._count}", kind, names, shape, attrs, params, self.module)

    def reshape(self, x: Value, shape: Shape) -> Value:
        """The same elements in another shape."""
        return x if x.shape == shape else self.step("reshape", [x], shape, dims=reshape_dims(x.shape, shape))

    def permute(self, x: Value, *axes: int) -> Value:
        """Its dimensions in another order."""
        if axes == tuple(range(len(axes))):
            return x
        return self.step("permute", [x], tuple(x.shape[a] for a in axes), axes=axes)

    def cut(self, x: Value, axis: int, start: int, stop: int, step: int = 1) -> Value:
        """A slice along an axis."""
        if (start, stop, step) == (0, x.shape[axis], 1):
            return x
        length = len(range(start, stop, step))
        shape = tuple(length if d == axis else n for d, n in enumerate(x.shape))
        return self.step("slice", [x], shape, axis=axis, start=start, stop=stop, step=step)


# arguments by name, the shape of the (first) result; None where no rule covers the use
CompositeRule = Callable[[Steps, Mapping[str, Any], Shape], Value | None]
