"""The module of a state as a file that is deployed, one row of its figures, and what int8 does to its layers."""

import warnings
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from ..deploy import Int8File, check_activations, converted, culprit, layer_errors, onnx_file
from ..errors import InputError
from ..files import check_folder, write_atomic
from ..hardware import Measurement
from ..hardware.onnx_timing import open_session
from ..metrics import interval_text
from ..state import State, check_images
from ..surgery import build_state, example_inputs, require_one_image
from ..training import Task, prepared, resolve_task, score, score_with
from .learning import images_of

__all__ = ["export", "int8_fidelity"]

_SUFFIXES = (".onnx", ".tflite")
_LOST = 0.01  # of the score: what int8 may cost before a layer is looked for
_LOOKED_AT = 16  # images on which it is looked for


def export(
    state: State,
    path: Path,
    calibration: torch.Tensor | None = None,
    task: str | Path | Task | None = None,
    activations: str = "int8",
    int16_layers: Sequence[str] = (),
) -> pd.DataFrame:
    """See `Session.export`."""
    if path.suffix not in _SUFFIXES:
        (suffix,) = get_close_matches(path.suffix, _SUFFIXES, n=1, cutoff=0.0)
        raise InputError(
            f"cannot export to {path.suffix or path.name!r}; the nearest supported format is {path.stem}{suffix}"
        )
    check_activations(activations, int16_layers)
    if path.suffix == ".onnx" and (activations != "int8" or int16_layers):
        raise InputError(f"an .onnx file holds floats; 16-bit activations are for {path.stem}.tflite")
    if path.suffix == ".tflite":
        require_one_image(state, "the .tflite file")
    check_folder(path)
    data = None if task is None else resolve_task(task)
    images = calibration
    if images is not None:
        check_images(images, "calibration", state.input_size)
    elif data is not None:
        images = images_of(state, data)
    module = build_state(state, images if state.plans_since_learned or data is None else None)
    row: dict[str, Any] = {"file": path.name, "dtype": "float"}
    if path.suffix == ".onnx":
        file = onnx_file(module, example_inputs(state), state.model_name)
        answer: Any = _OnnxFile(file) if data is not None else None
    else:
        if images is None:
            warnings.warn(
                "no calibration images: the ranges of the int8 file come from noise, and its accuracy will suffer; "
                "give calibration= or task=",
                stacklevel=3,
            )
            images = torch.cat([example_inputs(state)[0] for _ in range(8)])
        row["dtype"] = "int8 and int16" if int16_layers else activations
        files = converted(module, images, activations, int16_layers)
        file = files.data
        answer = Int8File(file)
    row["kib"] = len(file) / 1024
    if data is not None:
        size = state.input_size
        assert size is not None
        floats = score(module, data, size)
        exported = score_with(lambda p: answer(prepared(p, size, module)), data, size, row["dtype"])
        row["task"] = data.name
        row["metric"] = data.metric
        row["pictures"] = floats.pictures
        row["module"], row["module_95"] = floats.value, interval_text(floats.interval)
        row["exported"], row["exported_95"] = exported.value, interval_text(exported.interval)
        row["difference"] = exported.against(floats).text
        if path.suffix == ".tflite":
            assert images is not None
            spoilt = row["module"] - row["exported"] > _LOST
            row["culprit"] = culprit(layer_errors(module, files.floats, file, images[:_LOOKED_AT])) if spoilt else ""
    row |= _compiled(state, file) if path.suffix == ".tflite" else {}
    write_atomic(path, file)
    return pd.DataFrame([row])


def int8_fidelity(
    state: State,
    images: torch.Tensor,
    calibration: torch.Tensor | None = None,
    activations: str = "int8",
    int16_layers: Sequence[str] = (),
) -> pd.DataFrame:
    """See `Session.int8_fidelity`."""
    require_one_image(state, "int8_fidelity")
    check_images(images, "images", state.input_size)
    ranges = images if calibration is None else calibration
    module = build_state(state, ranges if state.plans_since_learned else None)
    files = converted(module, ranges, activations, int16_layers)
    return layer_errors(module, files.floats, files.data, images)


def _compiled(state: State, file: bytes) -> dict[str, Any]:
    """What the target's compiler makes of the file itself."""
    if not state.target.compiles_tflite:
        return {}
    measurement: Measurement = state.target.measure(file)
    kib = {name: getattr(measurement, f"{name}_bytes") for name in ("sram", "dram", "flash")}
    estimated = state.try_estimate
    return {
        "target": state.target.name,
        "status": measurement.status if not measurement.reason else f"{measurement.status}: {measurement.reason}",
        "latency_ms": measurement.latency_ms,
        "estimated_ms": estimated.latency_ms if estimated else None,
        **{f"{name}_kib": value / 1024 if value is not None else None for name, value in kib.items()},
        # the compiler counts one cycle for each of them: what they take is in no figure
        "left_to_cpu": ", ".join(measurement.cpu_ops),
    }


class _OnnxFile:
    """An ONNX file in ONNX Runtime; called as the module was."""

    def __init__(self, data: bytes) -> None:
        self._runs = open_session(data)
        self._reads = self._runs.get_inputs()[0].name

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        answers = [self._runs.run(None, {self._reads: image[None].numpy()})[0] for image in images]
        return torch.cat([torch.from_numpy(answer) for answer in answers])
