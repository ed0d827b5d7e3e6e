"""Maps made larger.

Rules, read off the compiler (Ethos-U Vela 5.2):

* the U85 has an operation of its own for any ratio
* the U55 and U65 double with a pool that reads every element twice, as often as it takes; bilinear doubling is the
  map with mirrored edges and a depthwise convolution for every element of the 2 x 2 that come of one
"""

from math import log2

from ...hardware.lowering import HwOp
from .layout import Layout
from .machine import Machine
from .passes import Map, Pass
from .single import packed, plain

__all__ = ["resized"]


def resized(at: Layout, machine: Machine, op: HwOp) -> list[Pass]:
    """The passes that make a map larger (or, on the U85, smaller)."""
    one = plain(at, op)
    if one.ifm == one.ofm._replace(bricks=one.ifm.bricks):
        return [one._replace(op="MemoryCopy")]
    if machine.family == "u85":
        return [one._replace(op="Resize")]
    if op.kind == "RESIZE_NEAREST_NEIGHBOR":
        return _doubled(op, one)
    return _interpolated(machine, op, one)


def _doubled(op: HwOp, one: Pass) -> list[Pass]:
    times = int(log2(one.ofm.height // one.ifm.height))
    names = [*one.inputs, *(f"{op.name}_{k}" for k in range(1, times)), one.output]
    maps = [one.ifm._replace(height=one.ifm.height << k, width=one.ifm.width << k) for k in range(times)] + [one.ofm]
    return [
        one._replace(
            op="AvgPool", inputs=(names[k],), output=names[k + 1], ifm=maps[k], ofm=maps[k + 1],
            whole=one.whole if k == times - 1 else None,
        )
        for k in range(times)
    ]  # fmt: skip


def _interpolated(machine: Machine, op: HwOp, one: Pass) -> list[Pass]:
    ifm, framed = one.ifm, f"{op.name}_framed"
    total = Map(ifm.height + 2, ifm.width + 2, ifm.channels, False)
    copy = one._replace(op="MemoryCopy", output=framed, whole=total)
    row, column = ifm._replace(height=1), total._replace(width=1)
    found = [copy._replace(ofm=ifm._replace(bricks=False))]
    found += [copy._replace(ifm=row, ofm=row._replace(bricks=False))] * 2
    found += [copy._replace(inputs=(framed,), ifm=column, ofm=column)] * 2
    quarter = one._replace(
        op="DepthwiseConv2D", inputs=(framed,), ifm=total._replace(height=total.height - 1, width=total.width - 1),
        ofm=one.ofm._replace(height=one.ofm.height - 1, width=one.ofm.width - 1), kernel=(2, 2),
        whole=one.whole or one.ofm,
    )  # fmt: skip
    return found + [packed(machine, quarter._replace(weights=f"{op.name}/{k}")) for k in range(4)]
