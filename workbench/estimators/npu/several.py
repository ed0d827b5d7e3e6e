"""One lowered operator as several passes.

Rules, read off the compiler (Ethos-U Vela 5.2):

* a convolution or pool with a stride above 3 is a pass for every output position; with padding, it is one for every
  tap and tile of the output (U85)
* a grouped convolution is a pass for every group, a product of matrices one for every matrix (U85)
* a mean is depthwise convolutions of at most 4096 taps into 32 bits, additions, and a multiplication
* a map of rank four and more that is cut out of another is made map by map, one with an axis above 65536 in pieces
"""

from collections.abc import Mapping
from dataclasses import dataclass

from ...hardware.lowering import HwOp
from .blocks import block_of
from .layout import Layout, deepened, sums_channels
from .machine import Machine
from .passes import Map, Pass, Values
from .single import packed, plain, weighted
from .weights import ONES

__all__ = ["MAX_STRIDE", "Sums", "batch", "groups", "matrices", "patches", "pieces", "sums", "taps"]

MAX_STRIDE = 3
_MAX_TAPS = 4096
_LONGEST = 1 << 16  # of an axis
_AXES = ("height", "width", "channels")


def patches(at: Layout, op: HwOp) -> list[Pass]:
    """A pool with a long stride."""
    one = plain(at, op)
    part = one._replace(
        ifm=one.ifm._replace(height=op.kernel[0], width=op.kernel[1]), stride=(1, 1),
        ofm=one.ofm._replace(height=1, width=1), whole=one.whole or one.ofm,
    )  # fmt: skip
    return [part] * (one.ofm.height * one.ofm.width)


def groups(at: Layout, machine: Machine, op: HwOp, values: Mapping[str, Values], output: str) -> list[Pass]:
    """A convolution in groups, or with a long stride and no padding; output: the memory they write."""
    assert op.weight is not None
    out, ofm, whole = at.output(op)
    padded = at.unpadded(op.inputs[0])
    ifm, source = at.map_of(padded), at.input_name(padded)
    cut = max(op.stride) > MAX_STRIDE
    bricks = output not in at.linear if output in at.linear or output != out else ofm.bricks
    total = ofm._replace(bricks=bricks)
    ic, oc = ifm.channels // op.groups, ofm.channels // op.groups
    rows, cols = ((op.weight[1] - 1) * op.dilation[0] + 1, (op.weight[2] - 1) * op.dilation[1] + 1)
    part = Map(rows, cols, ic, ifm.bricks) if cut else ifm._replace(channels=ic)
    made = total._replace(height=1, width=1, channels=oc) if cut else total._replace(channels=oc)
    one = Pass(
        "Conv2D", (at.number[op.name],), (source,), output, part, made, kernel=(op.weight[1], op.weight[2]),
        stride=(1, 1) if cut else op.stride, dilation=op.dilation, weights=op.name,
        whole=whole if output == out and whole else total, values=values.get(op.name),
    )  # fmt: skip
    one = packed(machine, one)
    count = op.groups * (ofm.height * ofm.width if cut else 1)
    if cut and op.groups == 1:
        return [one] * count
    return [one._replace(weights=f"{op.name}/{k}") for k in range(count)]


def taps(at: Layout, machine: Machine, op: HwOp, values: Mapping[str, Values]) -> list[Pass]:
    """A convolution with a long stride and padding."""
    assert op.weight is not None
    whole = weighted(at, machine, op, values)
    tap = whole._replace(kernel=(1, 1), stride=(1, 1), weight_bytes=0)
    ofm = tap.ofm
    tile = block_of(machine, tap.work).ofm
    rows, columns, channels = (min(a, b) for a, b in zip(tile, (ofm.height, ofm.width, ofm.channels), strict=True))
    reach = (rows - 1) * op.stride[0] + op.weight[1], (columns - 1) * op.stride[1] + op.weight[2]
    one = tap._replace(
        ifm=tap.ifm._replace(height=min(reach[0], tap.ifm.height), width=min(reach[1], tap.ifm.width)),
        ofm=ofm._replace(height=rows, width=columns, channels=channels), whole=tap.whole or ofm,
    )  # fmt: skip
    one = packed(machine, one)
    each = [one._replace(weights=f"{op.name}/{k}") for k in range(op.weight[1] * op.weight[2])]
    return each * (-(-ofm.height // rows) * -(-ofm.width // columns) * -(-ofm.channels // channels))


def matrices(at: Layout, machine: Machine, op: HwOp) -> list[Pass]:
    """A product of batches of matrices."""
    name, ofm, whole = at.output(op)
    left, right = (at.map_of(n) for n in op.inputs)
    one = Pass(
        "MatMul", (at.number[op.name],), tuple(at.input_name(n) for n in op.inputs), name, left, ofm, ifm2=right,
        whole=whole,
    )  # fmt: skip
    if machine.family != "u85":
        return [one]
    part = one._replace(
        ifm=left._replace(height=1), ifm2=right._replace(height=1), ofm=ofm._replace(height=1),
        whole=(whole or ofm) if ofm.height > 1 else whole,
    )  # fmt: skip
    return [part] * ofm.height


@dataclass(frozen=True)
class Sums:
    """What a mean is made of: passes that sum up, the map each writes, and that map as it is added up and scaled."""

    passes: tuple[Pass, ...]
    map: Map
    seen: Map


def sums(at: Layout, machine: Machine, op: HwOp) -> Sums:
    """The sums of a mean. Over channels, these stand in the columns."""
    taken = at.made[op.inputs[0]]
    ifm, source = at.map_of(op.inputs[0]), at.input_name(op.inputs[0])
    axes = {axis + 3 - len(taken.shape) for axis in op.extra[1:]}  # among rows, columns, channels
    if sums_channels(op, taken):
        kept, lines = (0, ifm.height) if ifm.width == 1 else (1, ifm.width)
        ifm = Map(lines, ifm.channels, 1, False, ifm.bits)
        axes = {0, 1} if kept in axes else {1}
    h, w = ifm.height if 0 in axes else 1, ifm.width if 1 in axes else 1
    left = ifm.height // h, ifm.width // w
    rows = max(min(h, _MAX_TAPS // w), 1)
    count = -(-h // rows)
    made = Map(*left, ifm.channels, left == (1, 1), bits=32)
    parts = [h - rows * (count - 1), *[rows] * (count - 1)]
    found = []
    for k, size in enumerate(parts):
        name = f"{op.name}_sum{k}"
        one = Pass(
            "DepthwiseConv2D", (at.number[op.name],), (source,), name,
            ifm._replace(height=size if h > 1 else ifm.height), made, kernel=(size, w), weights=name, values=ONES,
        )  # fmt: skip
        found.append(packed(machine, one))
    shallow = ifm.channels < 8 and made.elements > 16
    return Sums(tuple(found), made, deepened(made) if shallow else made)


def batch(pass_: Pass, count: int) -> list[Pass]:
    """The pass as `count` of them, each a map of those in a row."""

    def piece(shape: Map) -> Map:
        return shape._replace(height=shape.height // count) if shape.height % count == 0 else shape

    ifm2 = None if pass_.ifm2 is None else piece(pass_.ifm2)
    one = pass_._replace(ifm=piece(pass_.ifm), ifm2=ifm2, ofm=piece(pass_.ofm), whole=pass_.whole or pass_.ofm)
    return [one] * count


def pieces(pass_: Pass, axis: int) -> list[Pass]:
    """The pass, or several where its input is too long for one along an axis (0 rows, 1 columns, 2 channels)."""
    size = (pass_.ifm.height, pass_.ifm.width, pass_.ifm.channels)[axis]
    if size <= _LONGEST:
        return [pass_]
    made = axis if pass_.turn is None else pass_.turn.index(axis)
    lengths = [min(_LONGEST, size - start) for start in range(0, size, _LONGEST)]
    whole = pass_.whole or pass_.ofm
    return [pass_._replace(ifm=_with(pass_.ifm, axis, n), ofm=_with(pass_.ofm, made, n), whole=whole) for n in lengths]


def _with(shape: Map, axis: int, n: int) -> Map:
    h, w, c = (n if k == axis else size for k, size in enumerate((shape.height, shape.width, shape.channels)))
    return Map(h, w, c, shape.bricks, shape.bits)
