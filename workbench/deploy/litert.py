"""A module as the int8 TFLite file that is deployed: LiteRT's converter and quantiser, and its interpreter.

Weights are quantised per channel and symmetric, activations per tensor, by the ranges seen on calibration images
(ai-edge-quantizer's static_wi8_ai8). The file reads and writes int8 maps, NHWC.
"""

import io
import logging
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ..errors import InputError, WorkbenchError

__all__ = ["Int8File", "float_file", "int8_file"]


def int8_file(module: nn.Module, calibration: torch.Tensor) -> bytes:
    """The int8 file of a module in eval mode.

    calibration: images [N, C, H, W] as the module reads them; a hundred are enough. Takes seconds to tens of seconds.
    Raises WorkbenchError where the extra `deploy` is not installed or the converter gives up.
    """
    return quantised(float_file(module, calibration[:1]), calibration)


def float_file(module: nn.Module, example: torch.Tensor) -> bytes:
    """The module as a float TFLite file that reads [1, H, W, C]."""
    with _quiet():
        litert_torch = _extra("litert_torch")
        try:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "float.tflite"
                reads = litert_torch.to_channel_last_io(module.eval(), args=[0])
                litert_torch.convert(reads, (example[:1].permute(0, 2, 3, 1).contiguous(),)).export(str(path))
                return path.read_bytes()
        except Exception as error:  # the converter raises whatever its many passes raise
            raise WorkbenchError(f"litert-torch cannot convert {type(module).__name__}: {_first(error)}") from error


def quantised(file: bytes, calibration: torch.Tensor) -> bytes:
    """A float file with int8 weights and activations."""
    if calibration.dim() != 4 or not len(calibration):
        raise InputError(
            f"calibration of shape {tuple(calibration.shape)}: images [N, C, H, W] are needed, at least one"
        )
    with _quiet():
        quantizer = _extra("ai_edge_quantizer.quantizer")
        recipe = _extra("ai_edge_quantizer.recipe")
        signature, source = _signature(file)
        samples = [{source: image.permute(1, 2, 0)[None].numpy()} for image in calibration.float()]
        try:
            with tempfile.TemporaryDirectory() as folder:
                float_path, path = Path(folder) / "float.tflite", Path(folder) / "int8.tflite"
                float_path.write_bytes(file)
                job = quantizer.Quantizer(str(float_path), recipe.static_wi8_ai8())
                job.quantize(job.calibrate({signature: samples})).export_model(str(path))
                return path.read_bytes()
        except Exception as error:
            raise WorkbenchError(f"ai-edge-quantizer cannot quantise the file: {_first(error)}") from error


class Int8File:
    """A TFLite file with one input and one output in the LiteRT interpreter.

    Called with images [N, C, H, W] as the module read them; answers [N, ...] float32, one image at a time.
    """

    def __init__(self, file: bytes) -> None:
        with _quiet():
            self._runs = _extra("ai_edge_litert.interpreter").Interpreter(model_content=file)
            self._runs.allocate_tensors()
        self._reads, self._writes = self._runs.get_input_details()[0], self._runs.get_output_details()[0]

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        return torch.stack([self._one(image) for image in images])

    def _one(self, image: torch.Tensor) -> torch.Tensor:
        self._runs.set_tensor(self._reads["index"], _coded(image.permute(1, 2, 0)[None].numpy(), self._reads))
        self._runs.invoke()
        return torch.from_numpy(_decoded(self._runs.get_tensor(self._writes["index"])[0], self._writes))


def _coded(values: np.ndarray, tensor: Mapping[str, Any]) -> np.ndarray:
    """float32 values as the file's tensor holds them."""
    scale, zero = tensor["quantization"]
    if not scale:
        return np.ascontiguousarray(values, np.float32)
    held = np.iinfo(tensor["dtype"])
    return np.clip(np.round(values / scale) + zero, held.min, held.max).astype(tensor["dtype"])


def _decoded(values: np.ndarray, tensor: Mapping[str, Any]) -> np.ndarray:
    scale, zero = tensor["quantization"]
    return (values.astype(np.float32) - zero) * np.float32(scale) if scale else values.copy()


def _signature(file: bytes) -> tuple[str, str]:
    """Name of the file's one signature and of its input."""
    runs = _extra("ai_edge_litert.interpreter").Interpreter(model_content=file)
    name, found = next(iter(runs.get_signature_list().items()))
    return name, found["inputs"][0]


def _extra(name: str) -> Any:
    from importlib import import_module

    try:
        return import_module(name)
    except ImportError as error:
        raise WorkbenchError(
            f"int8 files need the extra `deploy` ({error}): pip install 'nas-workbench[deploy]'"
        ) from error


def _first(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the converter's talk about its own parts."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
