"""The figures of a state and its int8 file that anybody can derive again, and where each comes from.

of         "as opened" and "now": the network; "int8 file": the file that is deployed
how        counted, estimated (own compiles left out), compiled, or run: the module and the file on pictures
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import nn

from ..deploy import Int8File
from ..estimators import alone
from ..hardware import Measurement
from ..state import State
from ..training import Score, Task, prepared, score, score_with
from .verifying import measure

__all__ = ["Derived", "Figure", "derive"]

_ESTIMATED = ("latency_ms", "sram_bytes", "dram_bytes", "peak_activation_bytes", "weight_bytes")
_COMPILED = ("latency_ms", "sram_bytes", "dram_bytes", "flash_bytes")
_ANSWERS = 32  # images on which the file's answers are compared with the module's


@dataclass(frozen=True)
class Figure:
    """One figure. value: in the unit its name says; scores and errors are shares.

    Of a score: its 95 % interval, how many pictures it is of, and how it differs from the module's, in words.
    """

    of: str
    name: str
    how: str
    value: float
    interval: tuple[float, float] | None = None
    pictures: int | None = None
    difference: str = ""


@dataclass(frozen=True)
class Derived:
    """figures: all of them. compiled: what the compiler said, by what it said it of. left: why some are not here."""

    figures: tuple[Figure, ...]
    compiled: Mapping[str, Measurement]
    left: Mapping[str, str]


def derive(state: State, module: nn.Module, file: bytes, images: torch.Tensor, task: Task | None) -> Derived:
    """All figures of a state, of its built module and of the int8 file made of that.

    images: [N, C, H, W], those the file's ranges were found on. task: None where no score is asked for.
    """
    networks = {"as opened": state.baseline, "now": state} if state.changes else {"now": state}
    figures = [figure for name, network in networks.items() for figure in _of_network(name, network)]
    compiled: dict[str, Measurement] = {}
    left: dict[str, str] = {}
    if state.target.compiles_tflite:
        compiled = {name: measure(network)[0] for name, network in networks.items()}
        compiled["int8 file"] = state.target.measure(file)
        for name, measurement in compiled.items():
            if measurement.status != "compiled":
                left[name] = f"{measurement.status}: {measurement.reason}"
                continue
            values = {field: getattr(measurement, field) for field in _COMPILED}
            figures += [Figure(name, field, "compiled", value) for field, value in values.items() if value is not None]
            figures.append(Figure(name, "left_to_cpu", "compiled", len(measurement.cpu_ops)))
    figures += _run(state, module, file, images, task)
    return Derived(tuple(figures), compiled, left)


def _of_network(name: str, state: State) -> Iterator[Figure]:
    yield Figure(name, "params", "counted", state.graph.params)
    yield Figure(name, "macs", "counted", state.graph.macs)
    estimate = alone(state.graph, state.target, state.weight_values)
    if estimate is not None:
        yield from (Figure(name, field, "estimated", getattr(estimate, field)) for field in _ESTIMATED)


def _run(state: State, module: nn.Module, file: bytes, images: torch.Tensor, task: Task | None) -> Iterator[Figure]:
    answers = Int8File(file)
    pictures = images[:_ANSWERS]
    with torch.inference_mode():
        expected = module(pictures)
    error = float((answers(pictures) - expected).norm() / expected.norm().clamp_min(1e-12))
    yield Figure("int8 file", "error_against_module", "run", error)
    if task is not None:
        size = state.input_size
        assert size is not None
        floats = score(module, task, size)
        file_score = score_with(lambda pictures: answers(prepared(pictures, size, module)), task, size, "int8")
        yield _of_score("now", floats)
        yield _of_score("int8 file", file_score, file_score.against(floats).text)


def _of_score(of: str, score: Score, difference: str = "") -> Figure:
    return Figure(of, score.metric, "run", score.value, score.interval, score.pictures, difference)
