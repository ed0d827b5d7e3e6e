"""A module as the int8 TFLite file that is deployed: LiteRT's converter and quantiser, and its interpreter.

Weights are quantised per channel and symmetric, activations per tensor, by their widest ranges on
calibration images (ai-edge-quantizer, as its static_wi8_ai8 and static_wi8_ai16). The file reads and writes integer
maps, NHWC.
"""

import io
import logging
import os
import re
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ..errors import InputError, WorkbenchError
from .channels_last import ChannelsLast
from .refused_layer import refused_layer, refused_operator

__all__ = ["Int8File", "Tensors", "float_file", "quantised"]


def float_file(module: nn.Module, example: torch.Tensor) -> bytes:
    """The module as a float TFLite file that reads [1, H, W, C]."""
    with _quiet():
        litert_torch = _extra("litert_torch")
        litert_torch.config.show_progress = False  # in a notebook every stage would be an output of its own
        # the converter knows no adaptive maximum; a decomposition of one operator changes no other network's file
        decompositions = _extra("litert_torch.fx_infra").decomp
        decompositions.add_pre_convert_decomp(torch.ops.aten.adaptive_max_pool2d.default, _largest_of_windows)
        try:
            with tempfile.TemporaryDirectory() as folder, _maps_stay_maps(litert_torch.config):
                path = Path(folder) / "float.tflite"
                reads = example[:1].permute(0, 2, 3, 1).contiguous()
                litert_torch.convert(ChannelsLast(module.eval()).eval(), (reads,)).export(str(path))
                return path.read_bytes()
        except Exception as error:  # the converter raises whatever its many passes raise
            place = refused_layer(module, example, str(error))
            raise WorkbenchError(
                f"litert-torch cannot convert {type(module).__name__}: {_first(error)}{place}"
            ) from error


@contextmanager
def _maps_stay_maps(config: Any) -> Iterator[None]:
    """What is computed of a map is a map. The converter's usual way, the cheapest cut, turns those that many read."""
    usual, config.layout_optimize_partitioner = config.layout_optimize_partitioner, "GREEDY"
    try:
        yield
    finally:
        config.layout_optimize_partitioner = usual


def _largest_of_windows(x: torch.Tensor, size: Sequence[int]) -> Any:
    """An adaptive max pool as the max pool it is where its windows are of one size."""
    (rows, columns), (height, width) = x.shape[-2:], (size[0], size[-1])
    if rows % height or columns % width:
        return NotImplemented
    window = [rows // height, columns // width]
    return torch.ops.aten.max_pool2d_with_indices.default(x, window, window)


def quantised(file: bytes, calibration: torch.Tensor, bits: int = 8, wide: Sequence[str] = ()) -> bytes:
    """A float file with int8 weights and activations of `bits` (8 or 16).

    wide: tensors, by name, whose operators take 16 bits; the quantiser puts a QUANTIZE where 8 and 16 meet.
    """
    if calibration.dim() != 4 or not len(calibration):
        raise InputError(
            f"calibration of shape {tuple(calibration.shape)}: images [N, C, H, W] are needed, at least one"
        )
    with _quiet():
        calibrator = _extra("ai_edge_quantizer.calibrator")
        quantizer = _extra("ai_edge_quantizer.quantizer")
        rules = _extra("ai_edge_quantizer.recipe_manager").RecipeManager()
        every = _extra("ai_edge_quantizer.qtyping").TFLOperationName.ALL_SUPPORTED
        try:
            signature, source = _signature(file)
            samples = [{source: image.permute(1, 2, 0)[None].numpy()} for image in calibration.float()]
            rules.add_static_config(".*", every, bits, 8)
            for name in wide:  # an operator's scope is its output's name and a semicolon; later rules win
                rules.add_static_config(f"^{re.escape(name)};$", every, 16, 8)
            watch = calibrator.Calibrator(file, num_threads=os.cpu_count() or 1, qsv_update_func=_widest)
            watch.calibrate({signature: samples}, rules)
            job = quantizer.Quantizer(file, rules.get_quantization_recipe())
            return bytes(job.quantize(watch.get_model_qsvs()).quantized_model)
        except Exception as error:
            place = refused_operator(file, str(error))
            raise WorkbenchError(f"ai-edge-quantizer cannot quantise the file: {_first(error)}{place}") from error


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
        return torch.stack([self._answer(image) for image in images])

    def _answer(self, image: torch.Tensor) -> torch.Tensor:
        self._runs.set_tensor(self._reads["index"], _coded(image.permute(1, 2, 0)[None].numpy(), self._reads))
        self._runs.invoke()
        return torch.from_numpy(_decoded(self._runs.get_tensor(self._writes["index"])[0], self._writes))


class Tensors:
    """A TFLite file with one input, whose every tensor can be read after a run, by name, as float32."""

    def __init__(self, file: bytes) -> None:
        with _quiet():
            runs = _extra("ai_edge_litert.interpreter").Interpreter(
                model_content=file, experimental_preserve_all_tensors=True
            )
            runs.allocate_tensors()
        self._runs, self._reads = runs, runs.get_input_details()[0]
        self._details = {row["name"]: row for row in reversed(runs.get_tensor_details())}
        self.output: str = runs.get_output_details()[0]["name"]

    def run(self, image: torch.Tensor) -> None:
        """image: [C, H, W]."""
        self._runs.set_tensor(self._reads["index"], _coded(image.permute(1, 2, 0)[None].numpy(), self._reads))
        self._runs.invoke()

    def __getitem__(self, name: str) -> np.ndarray:
        return _decoded(self._runs.get_tensor(self._details[name]["index"]), self._details[name])

    def code(self, name: str) -> tuple[float, int, int]:
        """Scale, zero point and bits of an integer tensor."""
        scale, zero = self._details[name]["quantization"]
        return float(scale), int(zero), 8 * np.dtype(self._details[name]["dtype"]).itemsize


def _coded(values: np.ndarray, tensor: Mapping[str, Any]) -> np.ndarray:
    """float32 values as the file's tensor holds them."""
    scale, zero = tensor["quantization"]
    if not scale:
        return np.ascontiguousarray(values, np.float32)
    limits = np.iinfo(tensor["dtype"])
    return np.clip(np.round(values / scale) + zero, limits.min, limits.max).astype(tensor["dtype"])


def _decoded(values: np.ndarray, tensor: Mapping[str, Any]) -> np.ndarray:
    scale, zero = tensor["quantization"]
    return (values.astype(np.float32) - zero) * np.float32(scale) if scale else values.copy()


def _widest(before: Mapping[str, Any], latest: Mapping[str, Any]) -> dict[str, Any]:
    """A tensor's range over all images.

    The quantiser's own rule, a moving average of each image's range, ends near the range of a usual image and clips
    what larger ones hold: on MobileNetV2 trained on digits that doubles the error of the logits.
    """
    return {**latest, "min": np.minimum(before["min"], latest["min"]), "max": np.maximum(before["max"], latest["max"])}


def _signature(file: bytes) -> tuple[str, str]:
    """Name of the file's only signature and of its input."""
    runs = _extra("ai_edge_litert.interpreter").Interpreter(model_content=file)
    name, signature = next(iter(runs.get_signature_list().items()))
    return name, signature["inputs"][0]


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
    """Without the converter's talk about its own parts, some of which goes to the file descriptor past Python."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    stderr, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(nowhere)
        logging.disable(level)
