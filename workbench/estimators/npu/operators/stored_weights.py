"""The encoded weights of a pass."""

from dataclasses import replace
from functools import lru_cache

from ..blocks.select import block_config
from ..cycles.access import PassMemories
from ..cycles.compute import compute_cycles
from ..cycles.transfers import read_cycles
from ..machine import Machine
from ..passes import Pass, PassSpec
from ..weight_encoding import decode_cycles, encoded_bytes
from ..weight_histogram import WeightHistogram

__all__ = ["with_stored_weights"]

_FEW_CHANNELS = 2  # input channels that are sparse whatever the weights, as those that pad them are zero


def with_stored_weights(machine: Machine, pass_: Pass) -> Pass:
    """The pass with the bytes of its encoded weights, and whether zero weights are skipped."""
    stored, sparse = _stored(machine, pass_.spec, pass_.weight_histogram)
    return pass_.with_weights(stored, sparse)


@lru_cache(maxsize=1 << 16)
def _stored(machine: Machine, spec: PassSpec, histogram: WeightHistogram | None) -> tuple[int, bool]:
    """Bytes of the weights, and whether they are sparse: where they can be, what takes fewer cycles."""
    dense_bytes = encoded_bytes(machine, spec, histogram, block_config(machine, spec))
    can_be_sparse = spec.ifm.channels <= _FEW_CHANNELS or (histogram is not None and histogram.sparse)
    convolves = machine.family == "u85" and spec.kind == "conv" and spec.ifm.bits == 8
    if not (dense_bytes and convolves and can_be_sparse):
        return dense_bytes, False
    sparse_spec = replace(spec, sparse=True)
    sparse_bytes = encoded_bytes(machine, sparse_spec, histogram, block_config(machine, sparse_spec))
    compute, fetch = _cycles(machine, sparse_spec, histogram, sparse_bytes)
    dense_compute, dense_fetch = _cycles(machine, spec, histogram, dense_bytes)
    if compute <= dense_compute and compute + fetch <= dense_compute + dense_fetch:
        return sparse_bytes, True
    return dense_bytes, False


def _cycles(machine: Machine, spec: PassSpec, histogram: WeightHistogram | None, stored: int) -> tuple[int, int]:
    """Cycles of the pass, and of reading and decoding its weights once."""
    far, constants, block = machine.far, machine.constants, block_config(machine, spec)
    memories = PassMemories(far, far, far, constants)
    compute = compute_cycles(machine, replace(spec, weight_bytes=stored), block, memories)
    read = read_cycles(machine, constants, stored, "weights")
    return compute, max(read, decode_cycles(machine, spec, histogram, block))
