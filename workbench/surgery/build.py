"""Plans carried out on a copy of a module, and the result compared with what was planned."""

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from ..errors import SurgeryError, WorkbenchError
from ..graph import Graph, Plan
from ..progress import Progress
from ..state import WidthRules
from .carry_out import NO_RULES, carry_out
from .conformance import require_planned

__all__ = ["build", "mirrored"]


def build(
    model: nn.Module,
    graph: Graph,
    plans: Sequence[Plan],
    calibration: torch.Tensor | None = None,
    distil_steps: int = 0,
    progress: Progress | None = None,
    inputs: Sequence[Any] | None = None,
    width_rules: WidthRules = NO_RULES,
) -> nn.Module:
    """A copy of `model` with the plans carried out, weights carried along; `model` itself is not touched.

    graph: the trace of `model`. calibration: images [N, C, H, W] on which replaced blocks are fitted and, behind
    narrowed layers, batch norms corrected; None composes the weights of replaced blocks instead. distil_steps: steps of
    blockwise distillation (`distil.py`) for each fitted block, 0 for none; progress is called with the block, the steps
    done and the steps in all. inputs: what the model was traced with, where that is no picture of floats. width_rules:
    of classes of the user's whose code holds widths (`workbench.BlockWidths`). The result is traced again and compared
    with the planned graph: SurgeryError names the first difference.

    >>> import timm
    >>> from workbench.graph import Resize
    >>> from workbench.graph.trace import trace
    >>> model = timm.create_model("mobilenetv2_050").eval()
    >>> graph = trace(model, (3, 64, 64))
    >>> build(model, graph, [Plan((Resize("conv_stem", 24),))]).conv_stem.weight.shape
    torch.Size([24, 3, 3, 3])
    """
    edited = copy.deepcopy(model)
    images = None if calibration is None else mirrored(calibration, graph)
    try:
        planned = carry_out(edited, graph, plans, images, distil_steps, progress, width_rules)
    except (WorkbenchError, KeyboardInterrupt):
        raise
    except Exception as error:  # what torch says of parameters that are not the layer's own, or not of one kind
        raise SurgeryError(
            f"the plan cannot be carried out on {type(model).__name__}: its parameters or modules are not what its "
            f"layers alone make of them ({type(error).__name__})"
        ) from error
    require_planned(edited, planned, inputs, width_rules)
    return edited


def mirrored(images: torch.Tensor, graph: Graph) -> torch.Tensor:
    """Images [N, C, H, W], or [N, H, W, C] where the graph's network reads those, each followed by its mirror image.

    Mirror images give late blocks, whose maps have few pixels, twice as many rows to fit.
    """
    across = 2 if graph.channels_last(graph.inputs[0].name) else 3
    return torch.stack([images, images.flip(across)], 1).flatten(0, 1)
