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
* maps are in bricks of 16 channels, except the network's inputs and outputs, constants, what is read or written at a
  channel that is no multiple of 16, what a grouped convolution reads, and what a reshape turns
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from math import prod
from types import MappingProxyType

from ...targets.lowering import HwOp
from .blocks import block_of
from .machine import Machine
from .passes import ELEMENTWISE, Link, Map, Pass, Values
from .weights import ONES, packed_bytes

__all__ = ["issue"]

_UNKNOWN: Mapping[str, Values] = MappingProxyType({})
_MAX_TAPS = 4096
_MAX_STRIDE = 3
_CHAIN = 4  # elementwise operators in a row, the first of them or what it rides on included
_CHAIN_INPUTS = 3  # maps a chain may read
_OPS = {
    "CONV_2D": "Conv2D",
    "DEPTHWISE_CONV_2D": "DepthwiseConv2D",
    "FULLY_CONNECTED": "FullyConnected",
    "ADD": "Add",
    "SUB": "Sub",
    "MUL": "Mul",
    "MAXIMUM": "Maximum",
    "MINIMUM": "Minimum",
    "ABS": "Abs",
    "AVERAGE_POOL_2D": "AvgPool",
    "MAX_POOL_2D": "MaxPool",
    "QUANTIZE": "Quantize",
    "RELU": "Relu",
    "RELU6": "Relu6",
}
_LOOKED_UP = frozenset(["LOGISTIC", "TANH", "HARD_SWISH", "GELU", "LEAKY_RELU", "EXP"])
_TURNED = ELEMENTWISE | {"Quantize", "Relu", "Relu6", "LUT"}
_SHALLOW = 8  # channels below which elementwise work turns a map
_CONVOLUTIONS = frozenset(["CONV_2D", "DEPTHWISE_CONV_2D"])
_ACTS = {"RELU": "Relu", "RELU6": "Relu6"}


def issue(ops: Sequence[HwOp], machine: Machine, values: Mapping[str, Values] = _UNKNOWN) -> tuple[Pass, ...]:
    """The passes of a lowered network.

    values: how the weights of operators are distributed, by their names; normally where not given. Pass.sources[0] is
    the number of the operator it is charged to, inputs of the network not counted.
    """
    return _Issuer(tuple(ops), machine, values).run()


def _hwc(shape: Sequence[int]) -> tuple[int, int, int]:
    if len(shape) == 4:
        return shape[1], shape[2], shape[3]
    if len(shape) == 3:
        return 1, shape[1], shape[2]
    return 1, 1, shape[-1]


@dataclass
class _Issuer:
    ops: tuple[HwOp, ...]
    machine: Machine
    values: Mapping[str, Values]
    passes: list[Pass] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.made = {op.name: op for op in self.ops}
        run = [op for op in self.ops if op.kind != "INPUT"]
        self.number = {op.name: i for i, op in enumerate(run)}
        self.readers: dict[str, list[HwOp]] = {op.name: [] for op in self.ops}
        for op in self.ops:
            for name in dict.fromkeys(op.inputs):
                self.readers[name].append(op)
        self.views = {op.name: op.inputs[0] for op in self.ops if self._is_view(op)}
        self.home = self._homes()
        self.linear = self._linear()
        self.seen: set[str] = set()

    def run(self) -> tuple[Pass, ...]:
        for op in self.ops:
            if not self.readers[op.name]:
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
                    stack.append((self.made[name], iter(self._needs(self.made[name]))))
                    if copies:  # come back for the copy once its part is made
                        stack[-2] = (op, chain([(name, True)], needs))
                    break
                if copies:
                    self._copy(op, name)
            else:
                stack.pop()
                if op.kind not in ("INPUT", "CONCATENATION") and op.name not in self.views:
                    self._emit(op)

    def _needs(self, op: HwOp) -> list[tuple[str, bool]]:
        """Names an operator needs, in order, and whether each is then copied."""
        if op.kind != "CONCATENATION":
            return [(name, False) for name in op.inputs[::-1]]
        placed = [(name, False) for name in op.inputs if self.home.get(name) == op.name]
        return placed + [(name, True) for name in op.inputs[::-1] if self.home.get(name) != op.name]

    # ---- where maps are ----

    def _is_view(self, op: HwOp) -> bool:
        if op.kind == "RESHAPE":
            return True
        if op.kind in ("SLICE", "STRIDED_SLICE"):
            return not any(self._slices(user) for user in self.readers[op.name]) and bool(self.readers[op.name])
        return op.kind == "PAD" and all(user.kind in _CONVOLUTIONS for user in self.readers[op.name])

    def _slices(self, user: HwOp) -> bool:
        """Whether a reader cuts its input itself."""
        return user.kind in ("SLICE", "STRIDED_SLICE") or (user.groups > 1 and user.kind == "CONV_2D")

    def root(self, name: str) -> str:
        """The tensor a view looks at."""
        while name in self.views:
            name = self.views[name]
        return name

    def real_readers(self, name: str) -> list[HwOp]:
        """Readers of a tensor, through views."""
        found = []
        for user in self.readers[name]:
            found += self.real_readers(user.name) if user.name in self.views else [user]
        return found

    def _homes(self) -> dict[str, str]:
        """Tensor -> the concatenation or padding it is written into."""
        home = {}
        for op in self.ops:
            if op.kind == "CONCATENATION" or (op.kind in ("PAD", "PADV2") and op.name not in self.views):
                for name in dict.fromkeys(op.inputs):
                    maker = self.made[name]
                    taken = maker.kind in ("INPUT", "CONCATENATION", "SLICE", "STRIDED_SLICE", "PAD", "PADV2")
                    shared = len(self.readers[name]) > 1 or op.inputs.count(name) > 1
                    folded = op.kind == "PAD" and any(user.kind in _CONVOLUTIONS for user in self.readers[op.name])
                    if not (taken or shared or folded or name in self.views):
                        home[name] = op.name
        return home

    def tensor(self, name: str) -> str:
        """Name of the memory a tensor is in."""
        name = self.root(name)
        return self.home.get(name, name)

    def _linear(self) -> frozenset[str]:
        """Memories whose channels lie side by side."""
        found: set[str] = set()
        for op in self.ops:
            if op.kind == "INPUT" or not self.readers[op.name]:
                found.add(self.tensor(op.name))
            if op.kind == "CONCATENATION" and (len(op.shape) != 4 or op.extra[0] == 3):
                at = 0
                for name in op.inputs:
                    if at % 16:
                        found.add(op.name)
                    at += self.made[name].shape[-1]
            if op.kind == "CONV_2D" and op.groups > 1:
                found.add(self.tensor(self._unpadded(op.inputs[0])))
                if op.shape[-1] // op.groups % 16:
                    found.add(self._grouped_output(op))
            if op.kind in ("SLICE", "STRIDED_SLICE"):
                axis = op.extra[0]
                if axis == len(op.shape) - 1:
                    found.add(self.tensor(op.inputs[0]))
            if op.kind == "RESHAPE" and _hwc(op.shape)[1:] != _hwc(self.made[op.inputs[0]].shape)[1:]:
                found.add(self.tensor(op.inputs[0]))
        seen: dict[str, set[tuple[int, int]]] = {}
        for op in self.ops:
            if op.kind == "INPUT" or op.name in self.views:
                continue
            kind = _OPS.get(op.kind, "LUT" if op.kind in _LOOKED_UP else "")
            turns = self._shallow(op) and (kind in _TURNED or op.act != "NONE")
            for name in (*op.inputs, op.name):
                shape = Map(*_hwc(self.made[self._unpadded(name)].shape))
                if (turns and shape.elements > 1 and (kind in _TURNED)) or (turns and name == op.name):
                    shape = _deepened(shape)
                if name not in self.home and name not in self.views:
                    seen.setdefault(self.tensor(name), set()).add((shape.width, shape.channels))
        return frozenset(found | {name for name, shapes in seen.items() if len(shapes) > 1 and self._turned(name)})

    def _turned(self, name: str) -> bool:
        return _hwc(self.made[name].shape)[2] < _SHALLOW

    def _grouped_output(self, op: HwOp) -> str:
        return f"{op.name}_act" if op.act != "NONE" else self.tensor(op.name)

    # ---- maps ----

    def map_of(self, name: str) -> Map:
        """The map a reader of `name` sees."""
        h, w, c = _hwc(self.made[name].shape)
        return Map(h, w, c, self.tensor(name) not in self.linear)

    def _unpadded(self, name: str) -> str:
        """What a convolution reads of its input: padding is its own."""
        while self.made[name].kind == "PAD":
            name = self.made[name].inputs[0]
        return name

    def input_name(self, name: str) -> str:
        """Name of the memory a reader reads."""
        return self.tensor(name)

    def output(self, op: HwOp) -> tuple[str, Map, Map | None]:
        """Memory, map and, where it is a part of another one, the whole map an operator writes."""
        name = self.tensor(op.name)
        h, w, c = _hwc(op.shape)
        bricks = name not in self.linear
        whole = None
        if name != op.name:
            a, b, d = _hwc(self.made[name].shape)
            whole = Map(a, b, d, bricks)
        return name, Map(h, w, c, bricks), whole

    # ---- passes ----

    def _emit(self, op: HwOp) -> None:
        if op.kind == "CONV_2D" and (op.groups > 1 or max(op.stride) > _MAX_STRIDE):
            self._split(op)
        elif op.kind in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"):
            self._add(op, self._weighted(op), op.act)
        elif op.kind == "MEAN":
            self._mean(op)
        elif op.kind in ("PAD", "PADV2"):
            self._pad(op)
        elif op.kind in _ACTS or op.kind in _LOOKED_UP:
            self._activate(op, _ACTS.get(op.kind, "LUT"))
        else:
            self._add(op, self._plain(op), op.act)

    def _weighted(self, op: HwOp) -> Pass:
        name, ofm, whole = self.output(op)
        source = self._unpadded(op.inputs[0])
        ifm = self.map_of(source)
        if op.kind == "FULLY_CONNECTED":
            assert op.weight is not None
            rows = prod(self.made[op.inputs[0]].shape) // op.weight[-1]
            ifm = Map(1, rows, op.weight[-1], ifm.bricks)
            ofm = Map(1, rows, op.weight[0], ofm.bricks)
        kernel = op.weight[1:3] if op.weight is not None and len(op.weight) == 4 else (1, 1)
        found = Pass(
            _OPS[op.kind], (self.number[op.name],), (self.input_name(source),), name, ifm, ofm,
            kernel=(kernel[0], kernel[1]), stride=op.stride, dilation=op.dilation, weights=op.name, whole=whole,
            values=self.values.get(op.name),
        )  # fmt: skip
        return self._packed(found)

    def _packed(self, pass_: Pass) -> Pass:
        return replace(pass_, weight_bytes=packed_bytes(self.machine, pass_, block_of(self.machine, pass_.work)))

    def _plain(self, op: HwOp) -> Pass:
        name, ofm, whole = self.output(op)
        inputs = [self.input_name(n) for n in op.inputs]
        maps = [self.map_of(n) for n in op.inputs]
        if op.const is not None and op.const[0] != "alpha":
            inputs.append("")
            maps.append(_constant(op, ofm))
        names = tuple(inputs[:2]) if len(inputs) > 1 and inputs[0] != inputs[1] else tuple(inputs[:1])
        if op.kind in ("SLICE", "STRIDED_SLICE"):
            maps = [replace(ofm, bricks=maps[0].bricks)]
        if _OPS.get(op.kind) in _TURNED and self._shallow(op):
            maps = [_deepened(m) if m.elements > 1 else m for m in maps]
            ofm = _deepened(ofm)
        return Pass(
            _OPS.get(op.kind, "MemoryCopy" if "SLICE" in op.kind else op.kind), (self.number[op.name],), names, name,
            maps[0] if maps else ofm, ofm, ifm2=maps[1] if len(maps) > 1 else None, kernel=op.kernel,
            stride=op.stride, dilation=op.dilation, whole=whole,
        )  # fmt: skip

    def _add(self, op: HwOp, pass_: Pass, act: str) -> None:
        """Issue the pass, or chain it on the one before (U85)."""
        if act != "NONE" and pass_.kind != "elementwise" and self._shallow(op):
            raw = f"{op.name}_act"
            self.passes.append(replace(pass_, output=raw, ofm=replace(pass_.ofm, bricks=False)))
            turned = _deepened(pass_.ofm)
            self.passes.append(
                Pass(_ACTS[act], pass_.sources, (raw,), pass_.output, replace(turned, bricks=False), turned)
            )
            return
        if pass_.op not in ELEMENTWISE or not self._chained(op, pass_):
            self.passes.append(pass_)
        if act != "NONE":
            self._link(Link(_ACTS[act]), pass_.output)

    def _link(self, link: Link, output: str, whole: Map | None = None) -> None:
        before = self.passes[-1]
        self.passes[-1] = replace(before, chain=(*before.chain, link), output=output, whole=whole or before.whole)

    def _tail(self, name: str) -> bool:
        """Whether the pass before makes `name` alone, for one reader alone, and writes it as it is."""
        if not self.passes or name in self.views or len(self.readers[name]) != 1 or name in self.home:
            return False
        before = self.passes[-1]
        alone = len(self.passes) < 2 or self.passes[-2].output != before.output
        return before.output == name and before.whole is None and alone

    def _chained(self, op: HwOp, pass_: Pass) -> bool:
        if self.machine.family != "u85":
            return False
        for k, name in enumerate(op.inputs[:2]):
            if not self._tail(name):
                continue
            before = self.passes[-1]
            if len(op.inputs) > 1:
                link = Link(pass_.op, self.map_of(op.inputs[1 - k]), self.input_name(op.inputs[1 - k]))
            else:
                link = Link(pass_.op, pass_.ifm2, "")
            same = _size(before.ofm) == _size(pass_.ofm) and _size(self.map_of(name)) == _size(before.ofm)
            if not same or not _fits_chain(before, link):
                continue
            # the first one's own map keeps its order in memory; what is written is the last one's
            turned = pass_.ofm if pass_.ofm.bricks != before.ofm.bricks else None
            self._link(link, pass_.output, pass_.whole or turned)
            return True
        return False

    def _activate(self, op: HwOp, kind: str) -> None:
        """An activation by itself, or on what makes its input; one that rescales (ReLU) always by itself."""
        name, ofm, whole = self.output(op)
        source = op.inputs[0]
        turned = self._shallow(op)
        if kind == "LUT" and not turned and self._tail(source):
            before = self.passes[-1]
            last = before.chain[-1].op if before.chain else before.op
            if last not in ("Relu", "Relu6", "LUT") and (self.machine.family == "u85" or not before.chain):
                self._link(Link(kind), name, whole)
                if not any(link.op in ELEMENTWISE for link in before.chain):
                    self.passes[-1] = replace(self.passes[-1], ofm=replace(before.ofm, bricks=ofm.bricks))
                return
        ifm = self.map_of(source)
        if turned:
            ifm, ofm = _deepened(ifm), _deepened(ofm)
        self.passes.append(Pass(kind, (self.number[op.name],), (self.input_name(source),), name, ifm, ofm, whole=whole))

    def _shallow(self, op: HwOp) -> bool:
        """Whether elementwise work on this operator's output turns the map to have more channels."""
        _, _, c = _hwc(op.shape)
        sliced = op.name in self.home or (
            op.weight is None and any(self.made[name].kind in ("SLICE", "STRIDED_SLICE") for name in op.inputs)
        )
        shapes = {self.made[name].shape for name in op.inputs if self.made[name].elements > 1}
        each = op.const is not None and _constant(op, Map(*_hwc(op.shape))).elements > 1
        return c < _SHALLOW and op.elements > 2 * _SHALLOW and not sliced and len(shapes) < 2 and not each

    def _split(self, op: HwOp) -> None:
        """One pass for each output position of a long stride, or for each group."""
        assert op.weight is not None
        out, ofm, whole = self.output(op)
        raw = f"{op.name}_act" if op.act != "NONE" else out
        padded = self._unpadded(op.inputs[0])
        ifm, source = self.map_of(padded), self.input_name(padded)
        kernel = (op.weight[1], op.weight[2])
        patches = max(op.stride) > _MAX_STRIDE
        bricks = raw not in self.linear if raw in self.linear or raw != out else ofm.bricks
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

    def _mean(self, op: HwOp) -> None:
        """Sums of at most 4096 taps, added up and divided."""
        out, ofm, whole = self.output(op)
        h, w, c = _hwc(self.made[op.inputs[0]].shape)
        ifm, source = self.map_of(op.inputs[0]), self.input_name(op.inputs[0])
        number = (self.number[op.name],)
        rows = max(min(h, _MAX_TAPS // w), 1)
        count = -(-h // rows)
        sums = Map(1, 1, c, bits=32)
        middle = f"{op.name}_sum"
        parts = [h - rows * (count - 1), *[rows] * (count - 1)]
        names = [f"{middle}{k}" for k in range(count)]
        for size, name in zip(parts, names, strict=True):
            one = Pass(
                "DepthwiseConv2D", number, (source,), name, replace(ifm, height=size), sums, kernel=(size, w),
                weights=name, values=ONES,
            )  # fmt: skip
            self.passes.append(self._packed(one))
        scalar = Map(1, 1, 1, False, 32)
        ofm = Map(1, 1, c, ofm.bricks)
        total = names[-1]
        chains = self.machine.family == "u85"
        for k, name in enumerate(names[:-1]):
            made = f"{middle}+{k}"
            link = Link("Add", sums, name)
            if chains and _fits_chain(self.passes[-1], link):
                self._link(link, made)
            else:
                self.passes.append(Pass("Add", number, (total, name), made, sums, sums, ifm2=sums))
            total = made
        if chains:
            self._link(Link("Mul", scalar, ""), out, whole)
        else:
            self.passes.append(Pass("Mul", number, (total, ""), out, sums, ofm, ifm2=scalar, whole=whole))

    def _copy(self, op: HwOp, source: str) -> None:
        """A part of a concatenation that could not be written in place."""
        name, total, _ = self.output(op)
        ifm = self.map_of(source)
        ofm = replace(ifm, bricks=total.bricks)
        self.passes.append(
            Pass("MemoryCopy", (self.number[op.name],), (self.input_name(source),), name, ifm, ofm, whole=total)
        )

    def _pad(self, op: HwOp) -> None:
        """The input copied into the middle, unless it is made there, and constants around it."""
        name, total, _ = self.output(op)
        number = (self.number[op.name],)
        source = op.inputs[0]
        if self.home.get(self.root(source)) != op.name:
            ifm = self.map_of(source)
            kept = min(ifm.height, total.height), min(ifm.width, total.width)  # fewer where it crops
            ifm = replace(ifm, height=kept[0], width=kept[1])
            ofm = replace(ifm, bricks=total.bricks)
            self.passes.append(Pass("MemoryCopy", number, (self.input_name(source),), name, ifm, ofm, whole=total))
        top, bottom, left, right = op.extra
        upright = Map(total.height, 1, total.channels, False)
        flat = Map(1, total.width, total.channels, False)
        for size, edge in ((left, upright), (right, upright), (top, flat), (bottom, flat)):
            if size > 0:
                thick = replace(edge, width=size) if edge is upright else replace(edge, height=size)
                ofm = replace(thick, bricks=total.bricks)
                self.passes.append(Pass("MemoryCopy", number, ("",), name, thick, ofm, whole=total))


def _deepened(shape: Map) -> Map:
    """A shallow map as elementwise work sees it: its smallest prime factors, up to 16 and more, become the channels."""
    factors, rest, n = [], shape.elements, 2
    while n * n <= rest:
        while rest % n == 0:
            factors.append(n)
            rest //= n
        n += 1
    factors += [rest] if rest > 1 else []
    channels = height = width = 1
    for factor in factors:
        if channels < _SHALLOW * 2:
            channels *= factor
        elif width < height:
            width *= factor
        else:
            height *= factor
    return replace(shape, height=max(height, width), width=min(height, width), channels=channels)


def _constant(op: HwOp, ofm: Map) -> Map:
    """The map of a constant operand: a scalar, one value a channel, or one an element."""
    assert op.const is not None
    elements = {"scalar": 1, "value": op.extra[0] if op.extra else 1}.get(op.const[0], ofm.channels)
    if elements in (1, ofm.channels):
        return Map(1, 1, elements, False)
    return replace(ofm, bricks=False)


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


def _size(shape: Map) -> tuple[int, int, int]:
    return shape.height, shape.width, shape.channels
