"""The session's module as a file that is deployed, one row of what that file is worth, and what int8 does to layers."""

import warnings
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import torch

from ..deploy import Int8File, check_activations, converted, culprit, layer_errors, onnx_file
from ..errors import InputError
from ..files import check_folder, write_atomic
from ..hardware import EthosU, Measurement
from ..hardware.onnx_timing import open_session
from ..training import Task, prepared, resolve_task, score, score_with
from .tuning import images_of

if TYPE_CHECKING:
    from .core import Session

__all__ = ["example", "export", "int8_fidelity"]

_SUFFIXES = (".onnx", ".tflite")
_LOST = 0.01  # of the score: what int8 may cost before a layer is looked for
_LOOKED_AT = 16  # images on which it is looked for


def export(
    session: "Session",
    path: Path,
    calibration: torch.Tensor | None = None,
    task: "str | Path | Task | None" = None,
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
    check_folder(path)
    question = None if task is None else resolve_task(task)
    images = calibration
    if images is not None:
        session.check_images(images, "calibration")
    elif question is not None:
        images = images_of(session, question)
    module = session.build(images if session.untuned_steps or question is None else None)
    row: dict[str, Any] = {"file": path.name, "dtype": "float"}
    if path.suffix == ".onnx":
        data = onnx_file(module, example(session), session.model_name)
        answer: Any = _OnnxFile(data) if question is not None else None
    else:
        if images is None:
            warnings.warn(
                "no calibration images: the ranges of the int8 file come from noise, and its accuracy will suffer; "
                "give calibration= or task=",
                stacklevel=3,
            )
            images = torch.cat([example(session)[0] for _ in range(8)])
        row["dtype"] = "int8 and int16" if int16_layers else activations
        files = converted(module, images, activations, int16_layers)
        data = files.data
        answer = Int8File(data)
    row["kib"] = len(data) / 1024
    if question is not None:
        size = session.input_size
        assert size is not None
        row["task"] = question.name
        row["metric"] = question.metric
        row["module"] = score(module, question, size).value
        row["exported"] = score_with(lambda p: answer(prepared(p, size, module)), question, size).value
        if path.suffix == ".tflite":
            assert images is not None
            spoilt = row["module"] - row["exported"] > _LOST
            row["culprit"] = culprit(layer_errors(module, files.floats, data, images[:_LOOKED_AT])) if spoilt else ""
    row |= _compiled(session, data) if path.suffix == ".tflite" else {}
    write_atomic(path, data)
    return pd.DataFrame([row])


def int8_fidelity(
    session: "Session",
    images: torch.Tensor,
    calibration: torch.Tensor | None = None,
    activations: str = "int8",
    int16_layers: Sequence[str] = (),
) -> pd.DataFrame:
    """See `Session.int8_fidelity`."""
    session.check_images(images, "images")
    ranges = images if calibration is None else calibration
    module = session.build(ranges if session.untuned_steps else None)
    files = converted(module, ranges, activations, int16_layers)
    return layer_errors(module, files.floats, files.data, images)


def _compiled(session: "Session", data: bytes) -> dict[str, Any]:
    """What the target's compiler makes of the file itself."""
    if not isinstance(session.target, EthosU):
        return {}
    measured: Measurement = session.target.measure(data)
    kib = {name: getattr(measured, f"{name}_bytes") for name in ("sram", "dram", "flash")}
    estimated = session.try_estimate
    return {
        "target": session.target.name,
        "status": measured.status if not measured.reason else f"{measured.status}: {measured.reason}",
        "latency_ms": measured.latency_ms,
        "estimated_ms": estimated.latency_ms if estimated else None,
        **{f"{name}_kib": value / 1024 if value is not None else None for name, value in kib.items()},
        # the compiler counts one cycle for each of them: what they take is in no figure
        "left_to_cpu": ", ".join(measured.cpu_ops),
    }


class _OnnxFile:
    """An ONNX file in ONNX Runtime; called as the module was."""

    def __init__(self, data: bytes) -> None:
        self._runs = open_session(data)
        self._reads = self._runs.get_inputs()[0].name

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        answers = [self._runs.run(None, {self._reads: image[None].numpy()})[0] for image in images]
        return torch.cat([torch.from_numpy(one) for one in answers])


def example(session: "Session") -> tuple[Any, ...]:
    """Inputs of the session's shapes (batch 1), the same ones each time."""
    inputs = session.base.example_inputs
    if inputs is not None:
        return tuple(inputs) if isinstance(inputs, (tuple, list)) else (inputs,)
    assert session.input_size is not None
    return (torch.randn(1, *session.input_size, generator=torch.Generator().manual_seed(0)),)
