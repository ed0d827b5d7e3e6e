"""The session's module as ONNX."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from ..errors import InputError, WorkbenchError
from ..files import check_folder, write_atomic

if TYPE_CHECKING:
    from .core import Session

__all__ = ["export"]


def export(session: "Session", path: Path, calibration: torch.Tensor | None = None) -> Path:
    """Write the session's built model as ONNX, checked with onnx's own checker."""
    if path.suffix != ".onnx":
        raise InputError(
            f"cannot export to {path.suffix or path.name!r}; the nearest supported format is {path.stem}.onnx"
        )
    check_folder(path)
    module = session.build(calibration)
    return write_atomic(path, _onnx_bytes(module, example(session), session.model_name))


def example(session: "Session") -> tuple[Any, ...]:
    """Inputs of the session's shapes (batch 1), the same ones each time."""
    inputs = session.base.example_inputs
    if inputs is not None:
        return tuple(inputs) if isinstance(inputs, (tuple, list)) else (inputs,)
    assert session.input_size is not None
    return (torch.randn(1, *session.input_size, generator=torch.Generator().manual_seed(0)),)


def _onnx_bytes(module: nn.Module, inputs: tuple[Any, ...], name: str) -> bytes:
    import warnings

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
