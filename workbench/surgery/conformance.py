"""Whether the built module is what was planned."""

import torch
from torch import nn

from ..errors import SurgeryError, TraceError
from ..graph import Graph, Op, as_built, is_computed
from ..graph.trace import trace

__all__ = ["require_equal", "require_planned"]


def require_planned(edited: nn.Module, planned: Graph) -> None:
    """Trace the edited module and compare it with the planned graph; SurgeryError where it differs or does not run."""
    shapes = [op.shape for op in planned.inputs]
    try:
        if len(shapes) == 1 and len(shapes[0]) == 4:
            channels, height, width = shapes[0][1:]
            traced = trace(edited, (channels, height, width))
        else:
            traced = trace(edited, None, example_inputs=tuple(torch.zeros(shape) for shape in shapes))
    except TraceError as error:
        raise SurgeryError(f"the edited module does not run as planned: {error}") from error
    require_equal(as_built(planned), traced)


def require_equal(planned: Graph, traced: Graph) -> None:
    """Raise SurgeryError naming the first operator that differs (names aside, which the exporter chooses)."""
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
        return (op.kind, op.shape, op.attrs, params, op.module, tuple(place[name] for name in op.inputs))

    return [row(op) for op in graph.ops]
