"""Calls of torch.export: its example inputs, evaluation mode, its refusals in one sentence, copies without weights."""

import copy
import logging
import re
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import InputError, TraceError

__all__ = ["evaluating", "example", "export", "without_weights"]


def example(model: nn.Module, input_size: Any, example_inputs: Any = None) -> tuple[Any, ...]:
    """Zeros of that input size (the model's own where None), or the example inputs as a tuple."""
    if example_inputs is not None:
        return (example_inputs,) if isinstance(example_inputs, Tensor) else tuple(example_inputs)
    if input_size is None:
        config = getattr(model, "pretrained_cfg", None) or {}
        input_size = config.get("input_size") if hasattr(config, "get") else None
        if input_size is None:
            raise InputError(f"{type(model).__name__} does not say its input size; give input_size=(3, 224, 224)")
    size = tuple(input_size) if isinstance(input_size, Iterable) else (input_size,)
    if len(size) != 3 or not all(isinstance(n, int) and not isinstance(n, bool) and n > 0 for n in size):
        raise InputError(f"input_size {input_size!r} is not (channels, height, width) as in (3, 224, 224)")
    like = next((p for p in model.parameters() if p.is_floating_point()), torch.zeros(0))
    return (torch.zeros(1, *size, dtype=like.dtype, device=like.device),)


@contextmanager
def evaluating(*models: nn.Module) -> Iterator[None]:
    """Evaluation mode; afterwards every module has its own training flag back."""
    training = [module for model in models for module in model.modules() if module.training]
    for model in models:
        model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True


@contextmanager
def _silent() -> Iterator[None]:
    """Without torch's log: it writes tracebacks of what is raised, too, and refused here in one sentence."""
    level = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        yield
    finally:
        logging.disable(level)


def export(model: nn.Module, inputs: tuple[Any, ...]) -> torch.export.ExportedProgram:
    """The exported program of the model in evaluation mode; its training flags come back as they were."""
    try:
        with evaluating(model), torch.no_grad(), warnings.catch_warnings(), _silent():
            warnings.simplefilter("ignore")
            return torch.export.export(model, inputs, strict=False)
    except Exception as error:  # the exporter raises whatever the model's own code raised
        name = type(model).__name__
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        channels = re.search(r"expected input\[1, (\d+).* to have (\d+) channels", reason)
        first = next((m for m in model.modules() if isinstance(m, nn.Conv2d)), None)
        shape = next((t.shape for t in inputs if isinstance(t, Tensor) and t.dim() == 4), None)
        if channels and shape is not None and first is not None and int(channels[1]) == shape[1] != first.in_channels:
            raise InputError(f"the input has {shape[1]} channels, but {name} wants {first.in_channels}") from error
        size = f" for an input of {tuple(shape[1:])}" if shape is not None else ""
        raise TraceError(f"torch.export cannot trace {name}{size}: {reason.rstrip('.')}") from error


def without_weights(model: nn.Module) -> nn.Module | None:
    """The module as it is now, its parameters and buffers zeros that take no memory; None where it cannot be copied."""
    memo: dict[int, Any] = {}
    try:
        for tensor in (*model.parameters(), *model.buffers()):
            light = torch.zeros((), dtype=tensor.dtype, device=tensor.device).expand(tensor.shape)
            memo[id(tensor)] = nn.Parameter(light, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else light
        return copy.deepcopy(model, memo)
    except Exception:  # whatever the module's own attributes raise: its graph is good without the copy
        return None
