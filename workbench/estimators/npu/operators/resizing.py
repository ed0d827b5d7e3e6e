"""RESIZE operators.

Rules, read off the compiler (Ethos-U Vela 5.2):

* the U85 has an operation of its own for any ratio
* the U55 and U65 double with a pool that reads every element twice, as often as it takes; bilinear doubling is the
  feature map with mirrored edges and a depthwise convolution for every element of the 2 x 2 that come of one
"""

from math import log2

from ....hardware.lowering import HwOp
from ..feature_map import FeatureMap
from ..machine import Machine
from ..passes import Pass
from .operator_pass import unweighted_pass
from .storage import TensorStorage
from .stored_weights import with_stored_weights

__all__ = ["resize_passes"]


def resize_passes(storage: TensorStorage, machine: Machine, op: HwOp) -> list[Pass]:
    """The passes that make a feature map larger (or, on the U85, smaller)."""
    resize = unweighted_pass(storage, op)
    same_size = resize.ifm == resize.ofm._replace(bricks=resize.ifm.bricks)
    if same_size and (machine.family != "u85" or op.kind == "RESIZE_NEAREST_NEIGHBOR"):
        return [resize._replace(op="MemoryCopy")]
    if machine.family == "u85":
        return [resize._replace(op="Resize")]
    if op.kind == "RESIZE_NEAREST_NEIGHBOR":
        return _doubling_pools(op, resize)
    return _interpolation(machine, op, resize)


def _doubling_pools(op: HwOp, resize: Pass) -> list[Pass]:
    ifm, ofm = resize.ifm, resize.ofm
    times = int(log2(ofm.height // ifm.height))
    names = [*resize.inputs, *(f"{op.name}_{k}" for k in range(1, times)), resize.output]
    maps = [ifm._replace(height=ifm.height << k, width=ifm.width << k) for k in range(times)] + [ofm]
    return [
        resize._replace(
            op="AvgPool", upscale=2, inputs=(names[k],), output=names[k + 1], ifm=maps[k], ofm=maps[k + 1],
            whole=resize.whole if k == times - 1 else None,
        )
        for k in range(times)
    ]  # fmt: skip


def _interpolation(machine: Machine, op: HwOp, resize: Pass) -> list[Pass]:
    ifm, framed = resize.ifm, f"{op.name}_framed"
    frame = FeatureMap(ifm.height + 2, ifm.width + 2, ifm.channels, False)
    copy = resize._replace(op="MemoryCopy", output=framed, whole=frame)
    row, column = ifm._replace(height=1), frame._replace(width=1)
    copies = [copy._replace(ofm=ifm._replace(bricks=False))]
    copies += [copy._replace(ifm=row, ofm=row._replace(bricks=False))] * 2
    copies += [copy._replace(inputs=(framed,), ifm=column, ofm=column)] * 2
    quarter = resize._replace(
        op="DepthwiseConv2D", inputs=(framed,), ifm=frame._replace(height=frame.height - 1, width=frame.width - 1),
        ofm=resize.ofm._replace(height=resize.ofm.height - 1, width=resize.ofm.width - 1), kernel=(2, 2),
        whole=resize.whole or resize.ofm,
    )  # fmt: skip
    return copies + [with_stored_weights(machine, quarter._replace(weight_name=f"{op.name}/{k}")) for k in range(4)]
