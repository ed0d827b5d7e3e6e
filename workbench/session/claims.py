"""The figures of a session and its int8 file that anybody can derive again, and where each comes from.

of         "as opened" and "now": the network; "int8 file": the file that is deployed
how        counted, estimated (own compiles left out), compiled, or run: the module and the file on pictures
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn

from ..deploy import Int8File
from ..estimators import alone
from ..hardware import EthosU, Measurement
from ..training import Task, prepared, score, score_with
from .verifying import measured

if TYPE_CHECKING:
    from .core import Session

__all__ = ["Claim", "Derived", "derive"]

_ESTIMATED = ("latency_ms", "sram_bytes", "dram_bytes", "peak_activation_bytes", "weight_bytes")
_COMPILED = ("latency_ms", "sram_bytes", "dram_bytes", "flash_bytes")
_ANSWERS = 32  # images on which the file's answers are compared with the module's


@dataclass(frozen=True)
class Claim:
    """One figure. value: in the unit its name says; scores and errors are shares."""

    of: str
    figure: str
    how: str
    value: float


@dataclass(frozen=True)
class Derived:
    """claims: every figure. compiled: what the compiler said, by what it said it of; left: why figures are not here."""

    claims: tuple[Claim, ...]
    compiled: Mapping[str, Measurement]
    left: Mapping[str, str]


def derive(session: "Session", module: nn.Module, file: bytes, images: torch.Tensor, task: Task | None) -> Derived:
    """All figures of a session, of its built module and of the int8 file made of that.

    images: [N, C, H, W], those the file's ranges were found on. task: None where no score is asked for.
    """
    networks = {"as opened": session.baseline, "now": session} if session.parent is not None else {"now": session}
    claims = [claim for name, one in networks.items() for claim in _of_network(name, one)]
    compiled: dict[str, Measurement] = {}
    left: dict[str, str] = {}
    if isinstance(session.target, EthosU):
        compiled = {name: measured(one)[0] for name, one in networks.items()}
        compiled["int8 file"] = session.target.measure(file)
        for name, found in compiled.items():
            if found.status != "compiled":
                left[name] = f"{found.status}: {found.reason}"
                continue
            values = {figure: getattr(found, figure) for figure in _COMPILED}
            claims += [Claim(name, figure, "compiled", value) for figure, value in values.items() if value is not None]
            claims.append(Claim(name, "left_to_cpu", "compiled", len(found.cpu_ops)))
    claims += _run(session, module, file, images, task)
    return Derived(tuple(claims), compiled, left)


def _of_network(name: str, session: "Session") -> Iterator[Claim]:
    yield Claim(name, "params", "counted", session.graph.params)
    yield Claim(name, "macs", "counted", session.graph.macs)
    known = alone(session.graph, session.target, session.weight_values)
    if known is not None:
        yield from (Claim(name, figure, "estimated", getattr(known, figure)) for figure in _ESTIMATED)


def _run(
    session: "Session", module: nn.Module, file: bytes, images: torch.Tensor, task: Task | None
) -> Iterator[Claim]:
    answers = Int8File(file)
    some = images[:_ANSWERS]
    with torch.inference_mode():
        wanted = module(some)
    off = float((answers(some) - wanted).norm() / wanted.norm().clamp_min(1e-12))
    yield Claim("int8 file", "error_against_module", "run", off)
    if task is not None:
        size = session.input_size
        assert size is not None
        yield Claim("now", task.metric, "run", score(module, task, size).value)
        value = score_with(lambda pictures: answers(prepared(pictures, size, module)), task, size, "int8").value
        yield Claim("int8 file", task.metric, "run", value)
