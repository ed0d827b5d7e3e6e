"""The tile a pass is cut into."""

from . import blocks_u55, blocks_u85
from .machine import Machine
from .passes import Block, Work

__all__ = ["block_of"]


def block_of(machine: Machine, work: Work) -> Block:
    """The tile the accelerator computes at a time."""
    search = blocks_u85 if machine.family == "u85" else blocks_u55
    return search.find(machine, work, work.ifm, work.ofm)
