"""Plans carried out on a module."""

import copy
from collections.abc import Sequence
from itertools import groupby

import torch
from torch import nn

from ..errors import SurgeryError, TraceError
from ..graph import Compress, Graph, Plan, Replace, Resize, SetSpatial, as_built, rewrite
from ..graph.trace import trace
from .attributes import set_attributes
from .compare import require_equal
from .compress import compress, compress_again
from .distil import Progress, distil
from .layers import takes_one
from .replace import replace
from .resize import kept_channels, resize
from .spatial import set_spatial
from .statistics import correct

__all__ = ["build", "carry_out", "mirrored"]


def build(
    model: nn.Module,
    graph: Graph,
    plans: Sequence[Plan],
    calibration: torch.Tensor | None = None,
    distil_steps: int = 0,
    progress: Progress | None = None,
) -> nn.Module:
    """A copy of `model` with the plans carried out, weights carried along; `model` itself is not touched.

    graph: the trace of `model`. calibration: images [N, C, H, W] on which replaced blocks are fitted and, behind
    narrowed layers, batch norms corrected; None composes the weights of replaced blocks instead. distil_steps: so many
    steps of blockwise distillation (`distil.py`) follow for each fitted block; progress hears of them. The result is
    traced again and compared with the planned graph: SurgeryError names the first difference, so what comes back is
    what was planned.

    >>> import timm
    >>> from workbench.graph import Resize
    >>> model = timm.create_model("mobilenetv2_050").eval()
    >>> graph = trace(model, (3, 64, 64))
    >>> build(model, graph, [Plan((Resize("conv_stem", 24),))]).conv_stem.weight.shape
    torch.Size([24, 3, 3, 3])
    """
    edited = copy.deepcopy(model)
    images = None if calibration is None else mirrored(calibration)
    _check(edited, carry_out(edited, graph, plans, images, distil_steps, progress))
    return edited


def mirrored(images: torch.Tensor) -> torch.Tensor:
    """[2 N, C, H, W], each image followed by its mirror image.

    Late blocks have few pixels, and a function can be asked on any image.
    """
    return torch.stack([images, images.flip(-1)], 1).flatten(0, 1)


def carry_out(
    edited: nn.Module,
    graph: Graph,
    plans: Sequence[Plan],
    calibration: torch.Tensor | None,
    distil_steps: int = 0,
    progress: Progress | None = None,
) -> Graph:
    """Carry the plans out on the module itself and give back the planned graph; nothing is compared with it.

    calibration: as in `build`, but `mirrored` already, or what a module inside the network reads of such images. For
    candidates by the dozen; whoever keeps one builds it.
    """
    if calibration is not None:
        like = next(edited.parameters(), None)
        calibration = calibration.to(like) if like is not None else calibration
    # What replaced blocks are fitted to: the model at its present widths before any block of it was replaced, so
    # that one step of many blocks and many steps of one block give the same weights.
    reference: nn.Module | None = None
    for group in (list(edits) for plan in plans for _, edits in groupby(plan.edits, type)):
        if resizes := [edit for edit in group if isinstance(edit, Resize)]:
            graph = _resize(edited, graph, resizes, calibration)
            reference = None
            continue
        if spatial := [edit for edit in group if isinstance(edit, SetSpatial)]:
            for setting in spatial:
                set_spatial(edited, graph.by_name[setting.op], setting)
            after = rewrite(graph, Plan(tuple(spatial)))
            set_attributes(edited, graph, after)
            graph, reference = after, None
            continue
        if schemes := [edit for edit in group if isinstance(edit, Compress)]:
            graph = compress(edited, graph, schemes)
            reference = None
            continue
        for edit in group:
            after = rewrite(graph, Plan((edit,)))
            if isinstance(edit, Replace):
                if reference is None:
                    reference = copy.deepcopy(edited) if calibration is not None else edited
                replace(edited, graph, edit, after, reference, calibration)
                if distil_steps and calibration is not None and edit.init == "least-squares" and edit.new_ops:
                    distil(edited, reference, _unit(edited, graph, edit), calibration, distil_steps, progress)
                compress_again(edited, graph, after)
            graph = after  # another input size changes no weight
    return graph


def _unit(model: nn.Module, graph: Graph, edit: Replace) -> str:
    """The module whose output tells what the replaced operators were for: their block, or the layer itself."""
    last = edit.ops[-1]
    around = (block.name for block in graph.blocks if last in block.ops)
    whole = (path for path in around if path in graph.classes and takes_one(model.get_submodule(path)))
    return next(whole, edit.module or graph.by_name[last].module)


def _resize(edited: nn.Module, graph: Graph, edits: Sequence[Resize], images: torch.Tensor | None) -> Graph:
    after = rewrite(graph, Plan(tuple(edits)))
    narrows = any(edit.width < graph.channels.segments[edit.segment].width for edit in edits)
    before = copy.deepcopy(edited) if narrows and images is not None else None
    sources = resize(edited, graph, edits, after, images)
    set_attributes(edited, graph, after)
    compress_again(edited, graph, after)
    if before is not None and images is not None:
        correct(before, edited, kept_channels(graph, sources), images)
    return after


def _check(edited: nn.Module, planned: Graph) -> None:
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
