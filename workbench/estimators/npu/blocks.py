"""The tile a pass is cut into."""

from . import blocks_u55, blocks_u85
from .machine import Machine
from .passes import Block, Work

__all__ = ["block_of"]


def block_of(machine: Machine, work: Work) -> Block:
    """The tile the accelerator computes at a time."""
    search = blocks_u85 if machine.family == "u85" else blocks_u55
    ofm = work.ofm
    if work.turn is not None:  # tiles are cut in the order before
        made = (ofm.height, ofm.width, ofm.channels)
        h, w, c = (made[work.turn.index(axis)] for axis in range(3))
        ofm = ofm._replace(height=h, width=w, channels=c)
    return search.find(machine, work, work.ifm, ofm)
