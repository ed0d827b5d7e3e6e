"""Sessions: open a model, change it step by step, look, verify, save, share."""

from pathlib import Path
from typing import Any

from torch import nn

from ..targets import Target, resolve
from .core import Session, Step
from .files import load
from .opening import open_base
from .tables import Delta, Verification

__all__ = ["Delta", "Session", "Step", "Verification", "load", "open"]


def open(
    model: str | nn.Module,
    target: str | Target = "ethos-u65-512",
    input_size: tuple[int, int, int] | None = None,
    pretrained: bool = False,
    checkpoint: str | Path | None = None,
    example_inputs: Any = None,
) -> Session:
    """Open a timm model by name, or any module, on a target.

    model: a timm name ("mobilenetv2_100"; created with the same initial weights each time), or a module, which
    is copied. input_size: (channels, height, width), batch is 1; the model's own where not given. pretrained:
    timm's weights, from the hub's cache or the hub. checkpoint: a safetensors file that fits the model.
    example_inputs: a tuple of tensors, for modules that do not read one image.

    Raises UnknownName (model, target), InputError (sizes, arguments), FileFormatError (checkpoint), TraceError
    where torch.export cannot follow the module, WorkbenchError where pretrained weights cannot be fetched.

    >>> open("mobilenetv2_050", input_size=(3, 96, 96)).graph.macs > 0
    True
    """
    known = resolve(target)  # first: it is the cheapest of the answers
    base = open_base(model, input_size, pretrained=pretrained, checkpoint=checkpoint, example_inputs=example_inputs)
    return Session(base, known)
