"""Which inputs of the network are copied near before a convolution reads them.

Rules: Ethos-U Vela 5.2, explicit buffering of the scheduler. A convolution reads some rows and channels of its input
again and again; where that input is far, and nobody else reads it, a copy near may cost less than the repeated reads.

    read      [cycles] to read the input as often as the convolution does, from far
    copy      [cycles] of the pass that copies it near
    near      [cycles] to read it as often from near
"""

from collections.abc import Sequence

from ..cycles.access import PassMemories
from ..cycles.compute import compute_cycles
from ..cycles.transfers import copy_cycles, read_cycles
from ..machine import Machine
from ..passes import Pass, PassSpec
from ..rounding import ceil_div
from .dataflow import Dataflow
from .pass_schedule import PassSchedule, slice_bytes, whole_schedule

__all__ = ["with_input_copies"]

_SLICE_CHANNELS = 16  # the smallest slice that weights are copied in


def with_input_copies(
    machine: Machine, passes: Sequence[Pass], dataflow: Dataflow
) -> tuple[Sequence[Pass], frozenset[str]]:
    """The passes with those that copy an input near, and the names of the copies."""
    free = machine.near_bytes
    result: list[Pass] = []
    copies: list[str] = []
    for pass_ in passes:
        if pass_.kind in ("conv", "depthwise") and _may_be_copied(pass_, dataflow):
            ifm, name = pass_.ifm, f"{pass_.inputs[0]} near"
            if ifm.stored_bytes <= free and _copy_pays(machine, pass_.spec):
                free -= ifm.stored_bytes
                copies.append(name)
                result.append(Pass("MemoryCopy", pass_.sources, pass_.inputs[:1], name, ifm, ifm))
                pass_ = Pass(*pass_)._replace(inputs=(name, *pass_.inputs[1:]))
        result.append(pass_)
    return (result, frozenset(copies)) if copies else (passes, frozenset())


def _may_be_copied(pass_: Pass, dataflow: Dataflow) -> bool:
    """Whether a convolution is the only reader of an input of the network."""
    name = pass_.inputs[0] if pass_.inputs else ""
    convolves = pass_.op in ("Conv2D", "DepthwiseConv2D") and pass_.weight_bytes > 0
    return convolves and bool(name) and name not in dataflow.writers and len(dataflow.readers[name]) == 1


def _copy_pays(machine: Machine, spec: PassSpec) -> bool:
    """Whether copying the input and reading the copy takes less than reading the input."""
    schedule = whole_schedule(machine, spec)
    cost = schedule.sliced_cost
    if cost is None or cost.ifm_read_bytes <= cost.ifm_bytes or cost.compute_bound:
        return False
    if _weights_take_longer(machine, spec, schedule):
        return False
    copy = PassSpec("MemoryCopy", spec.ifm, spec.ifm, None, (1, 1), (1, 1), (1, 1), 0, (), None, None)
    memories = PassMemories(machine.far, machine.far, machine.near, machine.constants)
    copied = compute_cycles(machine, copy, whole_schedule(machine, copy).block, memories)
    return copied + read_cycles(machine, machine.near, cost.ifm_read_bytes, "ifm") < cost.ifm_cycles


def _weights_take_longer(machine: Machine, spec: PassSpec, schedule: PassSchedule) -> bool:
    """Whether reading the weights near takes longer than copying the first of them and reading the input."""
    cost = schedule.sliced_cost
    assert cost is not None
    smallest = spec.weight_bytes // ceil_div(spec.out_channels, _SLICE_CHANNELS)
    waiting = 0
    if smallest and cost.weight_cycles > cost.ifm_cycles:
        waiting = copy_cycles(machine, machine.near, machine.constants, smallest)
    (stored,) = slice_bytes(machine, spec, schedule.block, (0, spec.out_channels))
    near = read_cycles(machine, machine.near, stored * schedule.access.weight_reads, "weights")
    return near > waiting + cost.ifm_cycles
