"""A module as an ONNX file."""

import warnings
from typing import Any

import torch
from torch import nn

from ..errors import WorkbenchError, first_line

__all__ = ["onnx_file"]


def onnx_file(module: nn.Module, inputs: tuple[Any, ...], name: str) -> bytes:
    """The module as ONNX, checked with onnx's own checker. Raises WorkbenchError where it cannot be exported."""
    import onnx

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns about its own deprecations
        try:
            program = torch.onnx.export(module, inputs, dynamo=True, verbose=False)
        except Exception as error:  # the exporter raises whatever its many passes raise
            raise WorkbenchError(f"torch.onnx cannot export {name}: {first_line(error)}") from error
        assert program is not None
        model = program.model_proto
        try:
            onnx.checker.check_model(model, full_check=True)
        except Exception as error:  # the checker and the inference of shapes have no error in common
            raise WorkbenchError(f"torch.onnx makes no valid file of {name}: {first_line(error)}") from error
    data: bytes = model.SerializeToString()
    return data
