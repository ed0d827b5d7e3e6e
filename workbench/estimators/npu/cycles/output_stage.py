"""Cycles of the output stage per output element.

Rules: Ethos-U Vela 5.2, performance models of the U55/U65 and the U85.
"""

from ..blocks.u55 import array_of
from ..machine import Machine
from ..passes import PassSpec
from . import u85

__all__ = ["output_cycles"]


def output_cycles(machine: Machine, spec: PassSpec) -> float:
    """Cycles of the output stage for one element."""
    if machine.family == "u85":
        return u85.output_cycles(machine, spec)
    array = array_of(machine)
    return max(array.output_cycles[_u55_kind(spec)], array.activation_cycles[_u55_activation(spec)])


def _u55_kind(spec: PassSpec) -> int:
    """Index into `U55Array.output_cycles`."""
    if spec.kind == "elementwise" and spec.ifm.bits == 32:
        return 1 if spec.ifm2 else 0
    if spec.op == "Mul":
        return 2 if spec.ofm.bits == 32 else 3
    if spec.op in ("Add", "Sub"):
        return 5
    return 6 if spec.op == "MaxPool" else 7


def _u55_activation(spec: PassSpec) -> int:
    """Index into `U55Array.activation_cycles`."""
    op = spec.chain[0].op if spec.chain else ""
    if op in ("Sigmoid", "Tanh", "LUT"):
        return 0
    return 1 if op in ("Relu", "Relu0To1", "Relu6", "ReluN1To1") else 2
