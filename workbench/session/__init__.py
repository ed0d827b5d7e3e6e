"""Sessions: open a model, change it step by step, look, verify, save, share."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from ..errors import InputError
from ..hardware import Target, resolve
from .core import Session
from .files import load
from .opening import open_base
from .steps import Step
from .tables import Delta, Verification

if TYPE_CHECKING:
    from ..training import Task

__all__ = ["Delta", "Session", "Step", "Verification", "load", "open"]


def open(
    model: str | nn.Module,
    target: str | Target = "ethos-u65-512",
    input_size: tuple[int, int, int] | None = None,
    pretrained: bool = False,
    checkpoint: str | Path | None = None,
    example_inputs: Any = None,
    task: "str | Path | Task | None" = None,
) -> Session:
    """Open a timm model by name, or any module, on a target.

    model: a timm name ("mobilenetv2_100"; created with the same initial weights each time), or a module, which
    is copied. input_size: (channels, height, width), batch is 1; the model's own where not given. pretrained:
    timm's weights, from the hub's cache or the hub. checkpoint: a safetensors file that fits the model.
    example_inputs: a tuple of tensors, for modules that do not read one image. task: gives a timm model the head that
    the task needs ("digits", "rooms/presence", "rooms/detection", "rooms/segmentation", a folder, a `Task`): one output
    per class, a map of boxes (`training.Detector`), or a map of classes (`training.Segmenter`).

    Raises UnknownName (model, target), InputError (sizes, arguments), FileFormatError (checkpoint), TraceError
    where torch.export cannot follow the module, WorkbenchError where pretrained weights cannot be fetched.

    >>> open("mobilenetv2_050", input_size=(3, 96, 96)).graph.macs > 0
    True
    """
    known = resolve(target)  # first: it is the cheapest of the answers
    asked: dict[str, Any] = {}
    if task is not None:
        from ..training import resolve_task

        question = resolve_task(task)
        asked = {"classes": len(question.classes), "head": question.head}
        if not isinstance(model, str):
            raise InputError("task= makes the head of a timm model; a module of your own brings its head")
    base = open_base(
        model,
        input_size,
        pretrained=pretrained,
        checkpoint=checkpoint,
        example_inputs=example_inputs,
        **asked,
    )
    return Session(base, known)
