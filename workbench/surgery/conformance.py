"""Whether the built module is what was planned."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import InputError, SurgeryError, TraceError
from ..graph import Graph, Op, as_built, is_computed
from ..graph.trace import evaluating, trace

__all__ = ["require_equal", "require_planned"]

_COMMUTATIVE = frozenset(("add", "mul", "maximum", "minimum"))


def require_planned(edited: nn.Module, planned: Graph, inputs: Sequence[Any] | None = None) -> None:
    """Trace the edited module and compare it with the planned graph; SurgeryError where it differs or does not run.

    inputs: what the network was traced with, where that is no picture of floats; the shapes of the plan are kept.
    """
    example = _planned_inputs(edited, planned, inputs)
    try:
        traced = trace(edited, None, example_inputs=example)
    except (TraceError, InputError) as error:
        path, cls = _failing(edited, example)
        where = f"{path} ({cls})" if path else f"{cls}"
        raise SurgeryError(
            f"the edited module does not run as planned: {where} holds widths or sizes, in its code or in parameters "
            f"it shares or computes, that do not follow the plan"
        ) from error
    require_equal(as_built(planned), traced)


def _planned_inputs(model: nn.Module, planned: Graph, inputs: Sequence[Any] | None) -> tuple[Any, ...]:
    """The example inputs, or zeros in the shapes of the plan where the input size was changed."""
    shapes = [op.shape for op in planned.inputs]
    if inputs is not None and not (len(inputs) == len(shapes) == 1 and isinstance(inputs[0], Tensor)):
        return tuple(inputs)
    weights = (p for p in model.parameters() if p.is_floating_point())
    like = next(weights, torch.zeros(0)) if inputs is None else inputs[0]
    return tuple(torch.zeros(shape, dtype=like.dtype, device=like.device) for shape in shapes)


@torch.no_grad()
def _failing(model: nn.Module, inputs: tuple[Any, ...]) -> tuple[str, str]:
    """Path and class of the module in whose code the network stops: the innermost that is none of torch's own layers.

    The path is "" for the network itself, also where it runs and only the exporter cannot follow it.
    """
    names = {module: path for path, module in model.named_modules()}
    running: list[nn.Module] = []
    hooks = []
    for module in names:
        hooks.append(module.register_forward_pre_hook(lambda entered, _: running.append(entered)))
        hooks.append(module.register_forward_hook(lambda *_: _left(running)))
    try:
        with evaluating(model):
            model(*inputs)
        running.clear()
    except Exception:  # whatever the module's own code raises: only the place is of interest
        pass
    finally:
        for hook in hooks:
            hook.remove()
    own = [module for module in running if not type(module).__module__.startswith("torch.nn.modules.")]
    at = (own or running or [model])[-1]
    return names[at], type(at).__name__


def _left(running: list[nn.Module]) -> None:
    """A module has run; what its forward hook returns would take the place of its output."""
    running.pop()


def require_equal(planned: Graph, traced: Graph) -> None:
    """Raise SurgeryError naming the first operator that differs.

    Names, which the exporter chooses, and the order of the inputs of a sum or product make no difference.
    """
    expected, actual = _rows(planned), _rows(traced)
    for a, b in zip(expected, actual, strict=False):
        if a != b:
            field = next(i for i in range(len(a)) if a[i] != b[i])
            what = ("kind", "shape", "attributes", "parameters", "module", "inputs")[field]
            raise SurgeryError(
                f"the built module differs from the plan at {a[4] or b[4] or 'the root'}: "
                f"its {what} is {b[field]!r} where {a[field]!r} was planned"
            )
    if len(expected) != len(actual):
        raise SurgeryError(f"the built module has {len(actual)} operators where {len(expected)} were planned")


def _rows(graph: Graph) -> list[tuple[object, ...]]:
    """One row an operator: kind, shape, attributes, parameters, module, places of its inputs."""
    place = {op.name: i for i, op in enumerate(graph.ops)}

    def row(op: Op) -> tuple[object, ...]:
        params = tuple((p.role, "" if is_computed(op) else p.name, p.shape) for p in op.params)
        places = [place[name] for name in op.inputs]
        inputs = tuple(sorted(places) if op.kind in _COMMUTATIVE else places)
        return (op.kind, op.shape, op.attrs, params, op.module, inputs)

    return [row(op) for op in graph.ops]
