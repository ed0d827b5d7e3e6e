"""When each tensor lives: from the operator that makes it to the last one that reads it."""

from collections.abc import Mapping

from .structure import Structure

__all__ = ["live_ranges"]


def live_ranges(graph: Structure) -> Mapping[str, tuple[int, int]]:
    """Tensor name -> (step that makes it, last step that reads it), counting operators in execution order.

    Parameters are not feature maps and are left out; what leaves the network lives to the end, what enters it
    from step 0.
    """
    last = {op.name: step for step, op in enumerate(graph.ops)}
    for step, op in enumerate(graph.ops):
        for name in op.inputs:
            last[name] = step
    for name in graph.outputs:
        last[name] = len(graph.ops) - 1
    return {
        op.name: (0 if op.kind == "input" else step, last[op.name])
        for step, op in enumerate(graph.ops)
        if op.kind != "param"
    }
