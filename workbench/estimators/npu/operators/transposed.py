"""Transposed convolutions.

Rules, read off the compiler (Ethos-U Vela 5.2):

* the U55 and U65 convolve the input with zeros put between its elements as it is read, with a stride of one
* the U85 convolves it for each of the positions that a stride covers, each with the kernel elements that meet input
  there: of k elements and stride s those a, a + s, a + 2 s, ..., into the output from (a - padding) mod s on
"""

from collections.abc import Mapping
from itertools import product

from ....hardware.lowering import HwOp
from ..machine import Machine
from ..passes import Pass
from ..rounding import ceil_div
from ..weight_histogram import WeightHistogram
from .storage import TensorStorage
from .stored_weights import with_stored_weights

__all__ = ["transposed_passes"]


def transposed_passes(
    storage: TensorStorage, machine: Machine, op: HwOp, histograms: Mapping[str, WeightHistogram], output: str
) -> list[Pass]:
    """The convolutions that make up a transposed one. histograms: of weights, by operator name. output: the location
    that several write.
    """
    assert op.weight is not None
    location, ofm, whole = storage.output(op)
    source = op.inputs[0]
    rows, columns = op.weight[1:3]
    convolution = Pass(
        "Conv2D", (storage.numbers[op.name],), (storage.location(source),), location, storage.maps[source], ofm,
        kernel=(rows, columns), weight_name=op.name, whole=whole, weight_histogram=histograms.get(op.name),
    )  # fmt: skip
    if machine.family != "u85" or op.stride == (1, 1):
        convolution = convolution._replace(upscale=op.stride[0])
        return [with_stored_weights(machine, convolution)]
    row_step, column_step = op.stride
    top, left = ((k - s) // 2 if op.same else 0 for k, s in zip((rows, columns), op.stride, strict=True))
    total = (whole if output == location and whole else ofm)._replace(bricks=False)
    parts = [
        convolution._replace(
            kernel=(ceil_div(rows - i, row_step), ceil_div(columns - j, column_step)),
            ofm=ofm._replace(
                height=ofm.height - (i - top) % row_step, width=ofm.width - (j - left) % column_step, bricks=False
            ),
            output=output, whole=total, weight_name=f"{op.name}/{i}.{j}",
        )
        for i, j in product(range(row_step), range(column_step))
    ]  # fmt: skip
    return [with_stored_weights(machine, part) for part in parts]
