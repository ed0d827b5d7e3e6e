"""Lowered operators -> the passes an accelerator issues, in their order.

Rules, read off the compiler (Ethos-U Vela 5.2):

* order: depth first from the outputs, the last operand of an operator made first; of a concatenation the parts
  written in place in order, then the copies from the last to the first, each behind what makes its part
* a reshape is a view; a PAD is folded into convolutions, and copied around its input for any other reader
* a concatenation's parts are written in place where their maker allows, else copied
* a convolution with a stride above 3 becomes one pass for each output position, a grouped one a pass for each group
* a mean becomes depthwise convolutions of at most 4096 taps into 32 bits, additions, and a multiplication
* an activation runs with what makes its input; on the U85 elementwise operators do, too (a chain of at most four that
  reads at most three maps)
* elementwise work turns a map of fewer than 8 channels to have 16 or more

Where maps are is in `layout.py`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from math import prod
from types import MappingProxyType

from ...targets.lowering import HwOp
from .blocks import block_of
from .expand import expand
from .layout import LOOKED_UP, OPS, TURNED, Layout, constant_of, deepened, hwc, squared, sums_channels
from .machine import Machine
from .passes import ELEMENTWISE, Link, Map, Pass, Values
from .weights import ONES, packed_bytes

__all__ = ["issue"]

_UNKNOWN: Mapping[str, Values] = MappingProxyType({})
_MAX_TAPS = 4096
_MAX_STRIDE = 3
_LONGEST = 1 << 16  # of an axis
_CHAIN = 4  # elementwise operators in a row, the first of them or what it rides on included
_CHAIN_INPUTS = 3  # maps a chain may read
_ACTS = {"RELU": "Relu", "RELU6": "Relu6"}


def issue(ops: Sequence[HwOp], machine: Machine, values: Mapping[str, Values] = _UNKNOWN) -> tuple[Pass, ...]:
    """The passes of a lowered network.

    values: how the weights of operators are distributed, by their names; normally where not given. Pass.sources[0] is
    the number of the operator it is charged to, inputs of the network not counted.
    """
    expanded, number = expand(ops, machine.family)
    return _Issuer(expanded, number, machine, values).run()


@dataclass
class _Issuer:
    ops: tuple[HwOp, ...]
    number: Mapping[str, int]
    machine: Machine
    values: Mapping[str, Values]
    passes: list[Pass] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.at = Layout(self.ops, self.machine.family)
        self.seen: set[str] = set()

    def run(self) -> tuple[Pass, ...]:
        for op in self.ops:
            if not self.at.readers[op.name]:
                self._visit(op)
        return tuple(self.passes)

    def _visit(self, end: HwOp) -> None:
        """Issue an operator behind all it needs (a stack: networks are deeper than Python's own)."""
        stack = [(end, iter(self._needs(end)))]
        self.seen.add(end.name)
        while stack:
            op, needs = stack[-1]
            for name, copies in needs:
                if name not in self.seen:
                    self.seen.add(name)
                    stack.append((self.at.made[name], iter(self._needs(self.at.made[name]))))
                    if copies:  # come back for the copy once its part is made
                        stack[-2] = (op, chain([(name, True)], needs))
                    break
                if copies:
                    self._copy(op, name)
            else:
                stack.pop()
                if op.kind == "CONCATENATION":
                    self._copy_constants(op)
                elif op.kind != "INPUT" and op.name not in self.at.views:
                    self._emit(op)

    def _needs(self, op: HwOp) -> list[tuple[str, bool]]:
        """Names an operator needs, in order, and whether each is then copied."""
        if op.kind != "CONCATENATION":
            return [(name, False) for name in op.inputs[::-1]]
        placed = [(name, False) for name in op.inputs if self.at.home.get(name) == op.name]
        return placed + [(name, True) for name in op.inputs[::-1] if self.at.home.get(name) != op.name]

    # ---- passes ----

    def _emit(self, op: HwOp) -> None:
        padded = op.same or (bool(op.inputs) and self.at.unpadded(op.inputs[0]) != op.inputs[0])
        if op.kind == "CONV_2D" and max(op.stride) > _MAX_STRIDE and padded and op.groups == 1:
            self._taps(op)
        elif op.kind == "CONV_2D" and (op.groups > 1 or max(op.stride) > _MAX_STRIDE):
            self._split(op)
        elif "_POOL_2D" in op.kind and max(op.stride) > _MAX_STRIDE and not op.same:
            self._patches(op)
        elif op.kind in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"):
            self._add(op, self._weighted(op), op.act)
        elif op.kind == "MEAN":
            self._mean(op)
        elif op.kind in ("PAD", "PADV2"):
            self._pad(op)
        elif op.kind == "TILE":
            self._tile(op)
        elif op.kind == "MIRROR_PAD":
            self._mirror(op)
        elif op.kind == "TRANSPOSE":
            self._turn(op)
        elif op.kind == "REDUCE_SUM":
            self.passes.extend(_pieces(self._plain(op), 1))
        elif op.kind == "MATMUL":
            self._matmul(op)
        elif op.kind in _ACTS or op.kind in LOOKED_UP:
            self._activate(op, _ACTS.get(op.kind, "LUT"))
        else:
            self._add(op, self._plain(op), op.act)

    def _weighted(self, op: HwOp) -> Pass:
        name, ofm, whole = self.at.output(op)
        source = self.at.unpadded(op.inputs[0])
        ifm = self.at.map_of(source)
        if op.kind == "FULLY_CONNECTED":
            assert op.weight is not None
            rows = prod(self.at.made[op.inputs[0]].shape) // op.weight[-1]
            ifm = squared(Map(1, rows, op.weight[-1], ifm.bricks))
            ofm = squared(Map(1, rows, op.weight[0], ofm.bricks))
        kernel = op.weight[1:3] if op.weight is not None and len(op.weight) == 4 else (1, 1)
        found = Pass(
            OPS[op.kind], (self.number[op.name],), (self.at.input_name(source),), name, ifm, ofm,
            kernel=(kernel[0], kernel[1]), stride=op.stride, dilation=op.dilation, weights=op.name, whole=whole,
            values=self.values.get(op.name.partition("/")[0]),
        )  # fmt: skip
        return self._packed(found)

    def _packed(self, pass_: Pass) -> Pass:
        return replace(pass_, weight_bytes=packed_bytes(self.machine, pass_, block_of(self.machine, pass_.work)))

    def _plain(self, op: HwOp) -> Pass:
        name, ofm, whole = self.at.output(op)
        inputs = [self.at.input_name(n) for n in op.inputs]
        maps = [self.at.map_of(n) for n in op.inputs]
        if op.const is not None and op.const[0] != "alpha":
            at = 0 if op.const_first else len(inputs)
            inputs.insert(at, "")
            maps.insert(at, constant_of(op, replace(ofm, bits=maps[0].bits)))
        names = tuple(inputs[:2]) if len(inputs) > 1 and inputs[0] != inputs[1] else tuple(inputs[:1])
        if op.kind in ("SLICE", "STRIDED_SLICE"):
            maps = [replace(ofm, bricks=maps[0].bricks)]
        if (OPS.get(op.kind) in TURNED or op.kind == "MEMORY_COPY") and self.at.is_shallow(op):
            maps = [deepened(m) if m.elements > 1 else m for m in maps]
            ofm = deepened(ofm)
        return Pass(
            OPS.get(op.kind, "MemoryCopy" if "SLICE" in op.kind else op.kind), (self.number[op.name],), names, name,
            maps[0] if maps else ofm, ofm, ifm2=maps[1] if len(maps) > 1 else None, kernel=op.kernel,
            stride=op.stride, dilation=op.dilation, whole=whole,
        )  # fmt: skip

    def _add(self, op: HwOp, pass_: Pass, act: str) -> None:
        """Issue the pass, or chain it on the one before (U85)."""
        if act != "NONE" and pass_.kind != "elementwise" and self.at.is_shallow(op):
            raw = f"{op.name}_act"
            self.passes.append(replace(pass_, output=raw, ofm=replace(pass_.ofm, bricks=False)))
            turned = deepened(pass_.ofm)
            self.passes.append(
                Pass(_ACTS[act], pass_.sources, (raw,), pass_.output, replace(turned, bricks=False), turned)
            )
            return
        lead = prod(op.shape[:-3])
        if lead > 1 and (pass_.op in ELEMENTWISE or pass_.op == "MemoryCopy") and self._is_cut(op):
            piece = _batch(pass_, lead)
            if any(self.at.is_part(name, lead=True) for name in op.inputs):  # the compiler counts all of what it cuts
                piece = replace(piece, ifm=pass_.ifm)
            self.passes.extend([piece] * lead)
            return
        if pass_.op not in ELEMENTWISE or not self._chained(op, pass_):
            self.passes.append(pass_)
        if act != "NONE":
            self._link(Link(_ACTS[act]), pass_.output)

    def _is_cut(self, op: HwOp) -> bool:
        """Whether an operator works on parts of maps, or one map with another of other shape."""
        shapes = {self.at.made[name].shape for name in op.inputs if self.at.made[name].elements > 1}
        parts = "SLICE" in op.kind or any(self.at.is_part(name) for name in op.inputs)
        return len(shapes) > 1 or parts or op.name in self.at.home

    def _link(self, link: Link, output: str, whole: Map | None = None) -> None:
        before = self.passes[-1]
        self.passes[-1] = replace(before, chain=(*before.chain, link), output=output, whole=whole or before.whole)

    def _tail(self, name: str) -> bool:
        """Whether the pass before makes `name` alone, for one reader alone, and writes it as it is."""
        if not self.passes or name in self.at.views or len(self.at.readers[name]) != 1 or name in self.at.home:
            return False
        before = self.passes[-1]
        alone = len(self.passes) < 2 or self.passes[-2].output != before.output
        return before.output == name and before.whole is None and alone

    def _chained(self, op: HwOp, pass_: Pass) -> bool:
        if self.machine.family != "u85":
            return False
        for k, name in enumerate(op.inputs[:2]):
            if not self._tail(name) or op.inputs.count(name) > 1:
                continue
            before = self.passes[-1]
            if len(op.inputs) > 1:
                link = Link(pass_.op, self.at.map_of(op.inputs[1 - k]), self.at.input_name(op.inputs[1 - k]), op.bits)
            else:
                link = Link(pass_.op, pass_.ifm if op.const_first else pass_.ifm2, "", op.bits)
            read = self.at.map_of(name)
            if self.at.is_shallow(op):
                read = deepened(read)
            same = _size(before.ofm) == _size(pass_.ofm) == _size(read)
            if not same or not _fits_chain(before, link):
                continue
            # the first one's own map keeps its order in memory; what is written is the last one's
            turned = pass_.ofm if pass_.ofm.bricks != before.ofm.bricks else None
            self._link(link, pass_.output, pass_.whole or turned)
            return True
        return False

    def _activate(self, op: HwOp, kind: str) -> None:
        """An activation by itself, or on what makes its input; one that rescales (ReLU) always by itself."""
        name, ofm, whole = self.at.output(op)
        source = op.inputs[0]
        turned = self.at.is_shallow(op)
        while self.at.made[source].kind == "RESHAPE" and len(self.at.readers[source]) == 1:
            source = self.at.made[source].inputs[0]
        before = self.passes[-1] if self.passes else None
        if source != op.inputs[0] and (before is None or before.op not in ELEMENTWISE):
            source = op.inputs[0]  # a convolution writes its map as it is
        if kind == "LUT" and not turned and self._tail(source):
            before = self.passes[-1]
            last = before.chain[-1].op if before.chain else before.op
            if last not in ("Relu", "Relu6", "LUT") and (self.machine.family == "u85" or not before.chain):
                self._link(Link(kind), name, whole)
                if not any(link.op in ELEMENTWISE for link in before.chain):
                    self.passes[-1] = replace(
                        self.passes[-1], ofm=replace(before.ofm, bricks=ofm.bricks, bits=ofm.bits)
                    )
                return
        ifm = self.at.map_of(op.inputs[0])
        if turned:
            ifm, ofm = deepened(ifm), deepened(ofm)
        number = (self.number[op.name],)
        self.passes.append(Pass(kind, number, (self.at.input_name(op.inputs[0]),), name, ifm, ofm, whole=whole))

    def _taps(self, op: HwOp) -> None:
        """A long stride with padding: for each tile of the output a pass for every tap of the kernel."""
        assert op.weight is not None
        whole = self._weighted(op)
        tap = replace(whole, kernel=(1, 1), stride=(1, 1), weight_bytes=0)
        tile = block_of(self.machine, tap.work).ofm
        rows, columns, channels = (
            min(a, b) for a, b in zip(tile, (tap.ofm.height, tap.ofm.width, tap.ofm.channels), strict=True)
        )
        reach = (rows - 1) * op.stride[0] + op.weight[1], (columns - 1) * op.stride[1] + op.weight[2]
        one = replace(
            tap, ifm=replace(tap.ifm, height=min(reach[0], tap.ifm.height), width=min(reach[1], tap.ifm.width)),
            ofm=replace(tap.ofm, height=rows, width=columns, channels=channels), whole=tap.whole or tap.ofm,
        )  # fmt: skip
        one = self._packed(one)
        tiles = -(-tap.ofm.height // rows) * -(-tap.ofm.width // columns) * -(-tap.ofm.channels // channels)
        for _ in range(tiles):
            for k in range(op.weight[1] * op.weight[2]):
                self.passes.append(replace(one, weights=f"{op.name}/{k}"))
        if op.act != "NONE":
            self._link(Link(_ACTS[op.act]), one.output)

    def _patches(self, op: HwOp) -> None:
        """One pass for each position of a pool with a long stride."""
        one = self._plain(op)
        part = replace(
            one, ifm=replace(one.ifm, height=op.kernel[0], width=op.kernel[1]), stride=(1, 1),
            ofm=replace(one.ofm, height=1, width=1), whole=one.whole or one.ofm,
        )  # fmt: skip
        self.passes.extend([part] * (one.ofm.height * one.ofm.width))

    def _split(self, op: HwOp) -> None:
        """One pass for each output position of a long stride, or for each group."""
        assert op.weight is not None
        out, ofm, whole = self.at.output(op)
        raw = f"{op.name}_act" if op.act != "NONE" else out
        padded = self.at.unpadded(op.inputs[0])
        ifm, source = self.at.map_of(padded), self.at.input_name(padded)
        kernel = (op.weight[1], op.weight[2])
        patches = max(op.stride) > _MAX_STRIDE
        bricks = raw not in self.at.linear if raw in self.at.linear or raw != out else ofm.bricks
        total = replace(ofm, bricks=bricks)
        ic, oc = ifm.channels // op.groups, ofm.channels // op.groups
        count = op.groups * (ofm.height * ofm.width if patches else 1)
        rows, cols = ((op.weight[1] - 1) * op.dilation[0] + 1, (op.weight[2] - 1) * op.dilation[1] + 1)
        part = Map(rows, cols, ic, ifm.bricks) if patches else replace(ifm, channels=ic)
        made = replace(total, height=1, width=1, channels=oc) if patches else replace(total, channels=oc)
        one = Pass(
            "Conv2D", (self.number[op.name],), (source,), raw, part, made, kernel=kernel,
            stride=(1, 1) if patches else op.stride, dilation=op.dilation,
            weights=op.name, whole=whole if raw == out and whole else total, values=self.values.get(op.name),
        )  # fmt: skip
        one = self._packed(one)
        for k in range(count):
            self.passes.append(one if patches and op.groups == 1 else replace(one, weights=f"{op.name}/{k}"))
        if op.act != "NONE":
            self.passes.append(Pass(_ACTS[op.act], (self.number[op.name],), (raw,), out, total, ofm, whole=whole))

    def _turn(self, op: HwOp) -> None:
        """A TRANSPOSE by itself or, on the U85, as what makes its input writes it."""
        order = (op.extra[0], op.extra[1], op.extra[2])
        pass_ = replace(self._plain(op), turn=order)
        folded = self.at.made[op.inputs[0]]
        source = self.at.made[folded.inputs[0]]  # `expand` folds what is turned first
        same = _of_rank4(folded.shape) == _of_rank4(source.shape)
        if source.kind == "FULLY_CONNECTED":
            same = _size(squared(self.at.map_of(source.name))) == _size(self.at.map_of(folded.name))
        if self.machine.family == "u85" and same:
            before = self.passes[-1] if self.passes else None
            if before is not None and self._fuses(before, source, order):
                self.passes[-1] = replace(before, turn=order, output=pass_.output, ofm=pass_.ofm, whole=pass_.whole)
                return
        axis = max(range(3), key=lambda k: self.at.made[folded.name].shape[k])
        self.passes.extend(_pieces(pass_, axis))

    def _tile(self, op: HwOp) -> None:
        """A constant matrix copied for every one of a batch."""
        name, ofm, _ = self.at.output(op)
        count = ofm.height if prod(op.extra[:-2]) < ofm.height else 1
        part = replace(ofm, height=ofm.height // count)
        one = Pass("MemoryCopy", (self.number[op.name],), ("",), name, replace(part, bricks=False), part, whole=ofm)
        self.passes.extend([one] * count)

    def _mirror(self, op: HwOp) -> None:
        """The input copied into the middle; its edges then copied again, row by row and column by column."""
        name, total, whole = self.at.output(op)
        source, ifm = self.at.input_name(op.inputs[0]), self.at.map_of(op.inputs[0])
        edges = [0] * max(6 - len(op.extra), 0) + list(op.extra)
        top, bottom, left, right = edges[-6:-2]

        def copy(count: int, height: int, width: int, of: str) -> None:
            part = Map(height, width, ifm.channels, ifm.bricks if of == source else total.bricks)
            ofm = replace(part, bricks=total.bricks)
            one = Pass("MemoryCopy", (self.number[op.name],), (of,), name, part, ofm, whole=whole or total)
            self.passes.extend([one] * count)

        copy(top + bottom, 1, ifm.width, source)
        copy(1, ifm.height, ifm.width, source)
        copy(left + right, total.height, 1, name)

    def _fuses(self, before: Pass, source: HwOp, order: tuple[int, int, int]) -> bool:
        """Whether the pass before can write its output turned."""
        alone = len(self.passes) < 2 or self.passes[-2].output != before.output
        if not alone or before.output != source.name or before.whole is not None or before.turn is not None:
            return False
        if len(self.at.readers[source.name]) > 1 or len(self.at.real_readers(source.name)) > 1:
            return False
        if any(link.op in ELEMENTWISE for link in before.chain):
            return False
        return before.op not in ELEMENTWISE or order in ((0, 2, 1), (2, 0, 1))

    def _matmul(self, op: HwOp) -> None:
        """A product of matrices; on the U85 one after the other."""
        name, ofm, whole = self.at.output(op)
        left, right = (self.at.map_of(n) for n in op.inputs)
        one = Pass(
            "MatMul", (self.number[op.name],), tuple(self.at.input_name(n) for n in op.inputs), name, left, ofm,
            ifm2=right, whole=whole,
        )  # fmt: skip
        if self.machine.family != "u85":
            self.passes.append(one)
            return
        part = replace(
            one, ifm=replace(left, height=1), ifm2=replace(right, height=1), ofm=replace(ofm, height=1),
            whole=(whole or ofm) if ofm.height > 1 else whole,
        )  # fmt: skip
        self.passes.extend([part] * ofm.height)

    def _mean(self, op: HwOp) -> None:
        """Sums of at most 4096 taps, added up and divided. Over channels, these stand in the columns."""
        out, ofm, whole = self.at.output(op)
        taken = self.at.made[op.inputs[0]]
        ifm, source = self.at.map_of(op.inputs[0]), self.at.input_name(op.inputs[0])
        axes = {axis + 3 - len(taken.shape) for axis in op.extra[1:]}  # among rows, columns, channels
        if sums_channels(op, taken):
            kept = 0 if ifm.width == 1 else 1
            lines = ifm.height if ifm.width == 1 else ifm.width
            ifm = Map(lines, ifm.channels, 1, False, ifm.bits)
            axes = {0, 1} if kept in axes else {1}
        h = ifm.height if 0 in axes else 1
        w = ifm.width if 1 in axes else 1
        c = ifm.channels
        left = (1 if 0 in axes else ifm.height, 1 if 1 in axes else ifm.width)
        number = (self.number[op.name],)
        rows = max(min(h, _MAX_TAPS // w), 1)
        count = -(-h // rows)
        sums = Map(*left, c, left == (1, 1), bits=32)
        middle = f"{op.name}_sum"
        parts = [h - rows * (count - 1), *[rows] * (count - 1)]
        names = [f"{middle}{k}" for k in range(count)]
        for size, name in zip(parts, names, strict=True):
            one = Pass(
                "DepthwiseConv2D", number, (source,), name, replace(ifm, height=size if h > 1 else ifm.height), sums,
                kernel=(size, w), weights=name, values=ONES,
            )  # fmt: skip
            self.passes.append(self._packed(one))
        scalar = Map(1, 1, 1, False, 32)
        turned = c < 8 and sums.elements > 16
        many = deepened(sums) if turned else sums
        ofm = replace(many, bricks=ofm.bricks, bits=ofm.bits)
        total = names[-1]
        chains = self.machine.family == "u85" and not turned
        for k, name in enumerate(names[:-1]):
            made = f"{middle}+{k}"
            link = Link("Add", sums, name)
            if chains and _fits_chain(self.passes[-1], link):
                self._link(link, made)
            else:
                self.passes.append(Pass("Add", number, (total, name), made, many, many, ifm2=many))
            total = made
        if chains:
            self._link(Link("Mul", scalar, ""), out, whole)
        else:
            self.passes.append(Pass("Mul", number, (total, ""), out, many, ofm, ifm2=scalar, whole=whole))

    def _copy(self, op: HwOp, source: str) -> None:
        """A part of a concatenation that could not be written in place."""
        name, total, _ = self.at.output(op)
        ifm = self.at.map_of(source)
        ofm = replace(ifm, bricks=total.bricks)
        one = Pass("MemoryCopy", (self.number[op.name],), (self.at.input_name(source),), name, ifm, ofm, whole=total)
        lead = prod(op.shape[:-3])
        self.passes.extend([_batch(one, lead)] * lead if lead > 1 else [one])

    def _copy_constants(self, op: HwOp) -> None:
        """The parts of a concatenation that the network brings along."""
        if op.const is None:
            return
        assert isinstance(op.const[1], tuple)
        name, total, whole = self.at.output(op)
        axis, count = op.extra[0], len(op.const[1])
        given = sum(self.at.made[source].shape[axis] for source in op.inputs)
        shape = tuple((n - given) // count if k == axis else n for k, n in enumerate(op.shape))
        part = Map(*hwc(shape), False)
        one = Pass(
            "MemoryCopy", (self.number[op.name],), ("",), name, part, replace(part, bricks=total.bricks),
            whole=whole or total,
        )  # fmt: skip
        self.passes.extend([one] * count)

    def _pad(self, op: HwOp) -> None:
        """The input copied into the middle, unless it is made there, and constants around it."""
        name, total, _ = self.at.output(op)
        number = (self.number[op.name],)
        source = op.inputs[0]
        if self.at.home.get(self.at.root(source)) != op.name:
            ifm = self.at.map_of(source)
            kept = min(ifm.height, total.height), min(ifm.width, total.width)  # fewer where it crops
            ifm = replace(ifm, height=kept[0], width=kept[1])
            ofm = replace(ifm, bricks=total.bricks)
            self.passes.append(Pass("MemoryCopy", number, (self.at.input_name(source),), name, ifm, ofm, whole=total))
        edges = [0] * max(6 - len(op.extra), 0) + list(op.extra) if len(op.extra) != 4 else [*op.extra, 0, 0]
        top, bottom, left, right, front, back = edges[-6:]
        upright = Map(total.height, 1, total.channels, False)
        flat = Map(1, total.width, total.channels, False)
        deep = Map(total.height, total.width, 1, False)
        for size, edge, axis in (
            (front, deep, "channels"), (back, deep, "channels"), (left, upright, "width"), (right, upright, "width"),
            (top, flat, "height"), (bottom, flat, "height"),
        ):  # fmt: skip
            if size > 0:
                thick = replace(edge, **{axis: size})
                ofm = replace(thick, bricks=total.bricks)
                self.passes.append(Pass("MemoryCopy", number, ("",), name, thick, ofm, whole=total))


def _fits_chain(before: Pass, link: Link) -> bool:
    length = 1 + sum(other.op in ELEMENTWISE for other in before.chain)
    return length < _CHAIN and _outside(replace(before, chain=(*before.chain, link))) <= _CHAIN_INPUTS


def _outside(pass_: Pass) -> int:
    """Maps a pass and its chain read; scalars that are constant come with the command."""
    others = [pass_.ifm2, *(link.other for link in pass_.chain)]
    names = [pass_.inputs[1] if len(pass_.inputs) > 1 else "", *(link.other_name for link in pass_.chain)]
    return 1 + sum(
        other is not None and (other.elements > 1 or bool(name)) for other, name in zip(others, names, strict=True)
    )


def _pieces(pass_: Pass, axis: int) -> list[Pass]:
    """The pass, or several where its input is too long for one along an axis (0 rows, 1 columns, 2 channels)."""
    name = ("height", "width", "channels")[axis]
    size = getattr(pass_.ifm, name)
    made = name if pass_.turn is None else ("height", "width", "channels")[pass_.turn.index(axis)]
    return [
        pass_
        if size <= _LONGEST
        else replace(
            pass_,
            ifm=replace(pass_.ifm, **{name: n}),
            ofm=replace(pass_.ofm, **{made: n}),
            whole=pass_.whole or pass_.ofm,
        )
        for n in (min(_LONGEST, size - start) for start in range(0, size, _LONGEST))
    ]


def _batch(pass_: Pass, count: int) -> Pass:
    """One of `count` passes that make a map of rank four and more piece by piece."""

    def piece(shape: Map) -> Map:
        return replace(shape, height=shape.height // count) if shape.height % count == 0 else shape

    ifm2 = None if pass_.ifm2 is None else piece(pass_.ifm2)
    return replace(
        pass_, ifm=piece(pass_.ifm), ifm2=ifm2, ofm=piece(pass_.ofm), whole=pass_.whole or pass_.ofm
    )


def _of_rank4(shape: Sequence[int]) -> tuple[int, ...]:
    return (*[1] * (4 - len(shape)), *shape)


def _size(shape: Map) -> tuple[int, int, int]:
    return shape.height, shape.width, shape.channels
