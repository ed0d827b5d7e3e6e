"""A module as an ONNX file."""

import warnings
from typing import Any

import torch
from torch import nn

from ..errors import WorkbenchError

__all__ = ["onnx_file"]


def onnx_file(module: nn.Module, inputs: tuple[Any, ...], name: str) -> bytes:
    """The module as ONNX, checked with onnx's own checker. Raises WorkbenchError where it cannot be exported."""
    import onnx

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns about its own deprecations
        try:
            program = torch.onnx.export(module, inputs, dynamo=True, verbose=False)
        except Exception as error:  # the exporter raises whatever its many passes raise
            first = str(error).strip().splitlines()[:1]
            raise WorkbenchError(
                f"torch.onnx cannot export {name}: {first[0] if first else type(error).__name__}"
            ) from error
        assert program is not None
        model = program.model_proto
        onnx.checker.check_model(model, full_check=True)
    data: bytes = model.SerializeToString()
    return data
