"""torch.nn.Module -> Graph, through torch.export; the only package here that knows torch.

1. `export.py` runs the exporter on zeros, in evaluation mode, and turns its refusals into one sentence.
2. `tracer.py` turns the exported nodes into operators, by the rules of `aten.py`.
3. Operators nobody reads are dropped.
4. What reads one image keeps a copy of the module without its weights, to be traced at other sizes.
"""

from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from typing import Any

from torch import Tensor, nn

from ..graph import Graph, Origin
from ..op import Op
from .export import evaluating, example, export, without_weights
from .tracer import Tracer

__all__ = ["evaluating", "trace"]


def trace(model: nn.Module, input_size: tuple[int, int, int] | None = None, *, example_inputs: Any = None) -> Graph:
    """The frozen graph of `model` for one input of `input_size` (channels, height, width), batch 1.

    example_inputs: a tensor or a tuple of tensors, batch 1, for models with other or several inputs. With
    neither, a timm model's own default size. The model comes back exactly as it was, training flags included.

    Raises InputError where the input does not suit the model, TraceError where torch.export refuses it.

    >>> import timm
    >>> graph = trace(timm.create_model("mobilenetv2_100"), (3, 64, 64))
    >>> graph.by_name["conv2d"].shape, graph.by_name["conv2d"].module
    ((1, 32, 32, 32), 'conv_stem')
    """
    inputs = example(model, input_size, example_inputs)
    graph = _traced(model, inputs)
    one_image = len(inputs) == 1 and isinstance(inputs[0], Tensor) and inputs[0].dim() == 4
    return replace(graph, origin=_origin(model, inputs[0])) if one_image else graph


def _traced(model: nn.Module, inputs: tuple[Any, ...]) -> Graph:
    exported = export(model, inputs)
    modules = tuple((path, _qualified(module)) for path, module in model.named_modules(remove_duplicate=False))
    tracer = Tracer(type(model).__name__, frozenset(path for path, _ in modules), _parameters(model))
    outputs = tracer.run(exported)
    ops = _reachable(tracer.ops, outputs)
    read = {name for op in ops for param in op.params for name, _ in param.parameters}
    own = dict(tracer.parameters.values())
    return Graph(ops, outputs, modules, unread=tuple((n, shape) for n, shape in own.items() if n not in read))


def _parameters(model: nn.Module) -> dict[str, tuple[str, tuple[int, ...]]]:
    """By every key a parameter has: the first of them, and its shape."""
    first: dict[int, str] = {}
    return {
        name: (first.setdefault(id(tensor), name), tuple(tensor.shape))
        for name, tensor in model.named_parameters(remove_duplicate=False)
    }


def _origin(model: nn.Module, image: Tensor) -> Origin | None:
    light = without_weights(model)
    if light is None:
        return None

    @lru_cache(maxsize=8)
    def trace_at(size: tuple[int, int, int]) -> Graph:
        return replace(_traced(light, (image.new_zeros(1, *size),)), origin=origin)

    origin = Origin(trace_at)
    return origin


def _qualified(module: nn.Module) -> str:
    return f"{type(module).__module__}.{type(module).__qualname__}"


def _reachable(ops: list[Op], outputs: Iterable[str]) -> tuple[Op, ...]:
    """The operators that lead to the outputs, and the inputs."""
    tensors = set(outputs)
    reachable = []
    for op in reversed(ops):
        if op.name in tensors or op.kind == "input":
            tensors.update(op.inputs)
            reachable.append(op)
    return tuple(reversed(reachable))
