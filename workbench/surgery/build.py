"""Plans carried out on a module."""

import copy
from collections.abc import Sequence
from itertools import groupby

import torch
from torch import nn

from ..errors import SurgeryError, TraceError
from ..graph import Graph, Plan, Replace, Resize, rewrite
from ..graph.trace import trace
from .attributes import set_attributes
from .compare import require_equal
from .replace import replace
from .resize import resize

__all__ = ["build"]


def build(
    model: nn.Module, graph: Graph, plans: Sequence[Plan], calibration: torch.Tensor | None = None
) -> nn.Module:
    """A copy of `model` with the plans carried out, weights carried along; `model` itself is not touched.

    graph: the trace of `model`. calibration: images [N, C, H, W] replaced blocks are fitted on; None composes
    their weights instead. The result is traced again and compared with the planned graph: SurgeryError names the
    first difference, so what comes back is what was planned.
    """
    edited = copy.deepcopy(model)
    training = edited.training
    if calibration is not None:
        first = next(edited.parameters(), None)
        calibration = calibration.to(first) if first is not None else calibration
    current = graph
    for plan in plans:
        reference = copy.deepcopy(edited) if calibration is not None else edited
        for kind, edits in groupby(plan.edits, type):
            group = list(edits)
            if kind is Resize:
                after = rewrite(current, Plan(tuple(group)))
                resize(edited, current, [e for e in group if isinstance(e, Resize)], after)
                set_attributes(edited, current, after)
                current = after
                continue
            for edit in group:
                if not isinstance(edit, Replace):
                    raise SurgeryError(f"{type(edit).__name__} edits cannot be carried out on a module yet")
                after = rewrite(current, Plan((edit,)))
                replace(edited, current, edit, after, reference, calibration)
                current = after
    _check(edited, current)
    return edited.train(training)


def _check(edited: nn.Module, planned: Graph) -> None:
    shapes = [op.shape for op in planned.inputs]
    try:
        if len(shapes) == 1 and len(shapes[0]) == 4:
            channels, height, width = shapes[0][1:]
            traced = trace(edited, (channels, height, width))
        else:
            traced = trace(edited, None, example_inputs=tuple(torch.randn(shape) for shape in shapes))
    except TraceError as error:
        raise SurgeryError(f"the edited module does not run as planned: {error}") from error
    require_equal(planned, traced)
