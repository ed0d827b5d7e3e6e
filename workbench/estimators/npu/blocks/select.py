"""The block configuration of a pass."""

from ..machine import Machine
from ..passes import PassSpec
from . import u55, u85
from .config import BlockConfig

__all__ = ["block_config"]


def block_config(machine: Machine, spec: PassSpec) -> BlockConfig:
    """The blocks the compiler cuts a pass into."""
    ofm = spec.ofm
    if spec.transpose is not None:  # blocks are cut before a fused transpose
        height, width, channels = (ofm.size[spec.transpose.index(axis)] for axis in range(3))
        ofm = ofm._replace(height=height, width=width, channels=channels)
    search = u85.search_block if machine.family == "u85" else u55.search_block
    return search(machine, spec, spec.ifm, ofm)
