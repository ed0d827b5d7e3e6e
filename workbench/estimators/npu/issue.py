"""Lowered operators -> the passes an accelerator issues, in their order.

Rules, read off the compiler (Ethos-U Vela 5.2):

* order: depth first from the outputs, the last operand of an operator made first; of a concatenation the parts
  written in place in order, then the copies from the last to the first, each behind what makes its part
* a reshape is a view; a PAD is folded into convolutions, and copied around its input for any other reader
* a concatenation's parts are written in place where their maker allows, else copied
* on the U85 a TRANSPOSE is part of what makes its input, if it alone reads it
* an activation runs with what makes its input; on the U85 elementwise operators do, too (a chain of at most four that
  reads at most three maps)
* what the accelerator does not take (`host.py`) is not there: its output comes from outside
* elementwise work turns a map of fewer than 8 channels to have 16 or more

Operators that are put together of others come from `expand.py`, where maps are is in `layout.py`, and what becomes of
an operator in `single.py`, `several.py`, `resizing.py` and `copies.py`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from math import prod
from types import MappingProxyType

from ...hardware.lowering import HwOp
from .copies import constants, mirrored, padding, part, tile
from .expand import expand
from .host import left_to_host
from .layout import LOOKED_UP, Layout, deepened, is_batched, squared
from .machine import Machine
from .passes import ELEMENTWISE, Link, Map, Pass, Values
from .resizing import resized
from .several import MAX_STRIDE, batch, groups, matrices, patches, pieces, sums, taps
from .single import plain, weighted

__all__ = ["issue"]

_UNKNOWN: Mapping[str, Values] = MappingProxyType({})
_CHAIN = 4  # elementwise operators in a row, the first of them or what it rides on included
_CHAIN_INPUTS = 3  # maps a chain may read
_ACTS = {"RELU": "Relu", "RELU6": "Relu6"}
_COPIES: Mapping[str, Callable[[Layout, HwOp], list[Pass]]] = MappingProxyType(
    {"PAD": padding, "PADV2": padding, "MIRROR_PAD": mirrored, "TILE": tile}
)


def issue(
    ops: Sequence[HwOp], machine: Machine, values: Mapping[str, Values] = _UNKNOWN, host: frozenset[str] | None = None
) -> tuple[Pass, ...]:
    """The passes of a lowered network.

    values: how the weights of operators are distributed, by their names; normally where not given. host: names of those
    the accelerator does not take, where they are known. Pass.sources[0] is
    the number of the operator it is charged to, inputs of the network not counted.
    """
    if host is None:
        host = left_to_host(ops, machine.family)
    taken = [op._replace(kind="HOST") if op.name in host else op for op in ops] if host else ops
    expanded, number = expand(taken, machine.family)
    return _Issuer(expanded, number, machine, values).run()


@dataclass
class _Issuer:
    ops: tuple[HwOp, ...]
    number: Mapping[str, int]
    machine: Machine
    values: Mapping[str, Values]
    passes: list[Pass] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.at = Layout(self.ops, self.machine.family, self.number)
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
                    self.passes.extend(part(self.at, op, name))
            else:
                stack.pop()
                if op.kind in ("CONCATENATION", "STACK"):
                    self.passes.extend(constants(self.at, op))
                elif op.kind not in ("INPUT", "HOST") and op.name not in self.at.views:
                    self._emit(op)

    def _needs(self, op: HwOp) -> list[tuple[str, bool]]:
        """Names an operator needs, in order, and whether each is then copied."""
        if op.kind not in ("CONCATENATION", "STACK"):
            return [(name, False) for name in op.inputs[::-1]]
        placed = [(name, False) for name in op.inputs if self.at.home.get(name) == op.name]
        return placed + [(name, True) for name in op.inputs[::-1] if self.at.home.get(name) != op.name]

    # ---- passes ----

    def _emit(self, op: HwOp) -> None:
        at, machine, values = self.at, self.machine, self.values
        far = max(op.stride) > MAX_STRIDE
        if op.kind == "CONV_2D" and (far or op.groups > 1):
            if far and op.groups == 1 and (op.same or at.unpadded(op.inputs[0]) != op.inputs[0]):
                self.passes.extend(taps(at, machine, op, values))
                if op.act != "NONE":
                    self._link(Link(_ACTS[op.act]), self.passes[-1].output)
            else:
                self._grouped(op)
        elif op.kind in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"):
            self._add(op, weighted(at, machine, op, values), op.act)
        elif op.kind in _ACTS or op.kind in LOOKED_UP:
            self._activate(op, _ACTS.get(op.kind, "LUT"))
        elif op.kind == "MEAN":
            self._mean(op)
        elif op.kind == "TRANSPOSE":
            self._turn(op)
        elif op.kind == "REDUCE_SUM":
            self.passes.extend(pieces(plain(at, op), 1))
        elif op.kind == "MATMUL":
            self.passes.extend(matrices(at, machine, op))
        elif op.kind in ("AVERAGE_POOL_2D", "MAX_POOL_2D") and far and not op.same:
            self.passes.extend(patches(at, op))
        elif op.kind in ("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"):
            self.passes.extend(resized(at, machine, op))
        elif op.kind in _COPIES:
            self.passes.extend(_COPIES[op.kind](at, op))
        else:
            self._add(op, plain(at, op), op.act)

    def _grouped(self, op: HwOp) -> None:
        """Groups, and their activation behind all of them."""
        out, ofm, whole = self.at.output(op)
        raw = f"{op.name}_act" if op.act != "NONE" else out
        self.passes.extend(groups(self.at, self.machine, op, self.values, raw))
        if op.act != "NONE":
            total = ofm._replace(bricks=raw not in self.at.linear)
            self.passes.append(Pass(_ACTS[op.act], (self.at.number[op.name],), (raw,), out, total, ofm, whole=whole))

    def _add(self, op: HwOp, pass_: Pass, act: str) -> None:
        """Issue the pass, or chain it on the one before (U85)."""
        if act != "NONE" and self.at.is_shallow(op) and pass_.kind != "elementwise":
            raw = f"{op.name}_act"
            self.passes.append(pass_._replace(output=raw, ofm=pass_.ofm._replace(bricks=False)))
            turned = deepened(pass_.ofm)
            self.passes.append(
                Pass(_ACTS[act], pass_.sources, (raw,), pass_.output, turned._replace(bricks=False), turned)
            )
            return
        lead = prod(op.shape[:-3])
        if lead > 1 and op.kind != "FULLY_CONNECTED" and (self._is_single(op, pass_) or self._is_cut(op)):
            each = batch(pass_, lead)
            if any(self.at.is_part(name, lead=True) for name in op.inputs):  # the compiler counts all of what it cuts
                each = [piece._replace(ifm=pass_.ifm) for piece in each]
            self.passes.extend(each)
            return
        if pass_.op not in ELEMENTWISE or not self._chained(op, pass_):
            self.passes.append(pass_)
        if act != "NONE":
            self._link(Link(_ACTS[act]), pass_.output)

    def _is_single(self, op: HwOp, pass_: Pass) -> bool:
        """Whether the accelerator takes one map at a time."""
        return pass_.kind in ("conv", "depthwise", "pool") and pass_.op != "MemoryCopy" and not is_batched(op)

    def _is_cut(self, op: HwOp) -> bool:
        """Whether an operator works on parts of maps, or one map with another of other shape."""
        shapes = {self.at.made[name].shape for name in op.inputs if self.at.made[name].elements > 1}
        spread = op.const is not None and op.const[0] == "value" and 1 < op.extra[0] < op.elements
        parts = spread or "SLICE" in op.kind or any(self.at.is_part(name) for name in op.inputs)
        return len(shapes) > 1 or parts or op.name in self.at.home

    def _link(self, link: Link, output: str, whole: Map | None = None) -> None:
        before = self.passes[-1]
        self.passes[-1] = before._replace(chain=(*before.chain, link), output=output, whole=whole or before.whole)

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
                    self.passes[-1] = self.passes[-1]._replace(
                        ofm=before.ofm._replace(bricks=ofm.bricks, bits=ofm.bits)
                    )
                return
        ifm = self.at.map_of(op.inputs[0])
        if turned:
            ifm, ofm = deepened(ifm), deepened(ofm)
        number = (self.at.number[op.name],)
        self.passes.append(Pass(kind, number, (self.at.input_name(op.inputs[0]),), name, ifm, ofm, whole=whole))

    def _turn(self, op: HwOp) -> None:
        """A TRANSPOSE by itself or, on the U85, as what makes its input writes it."""
        order = (op.extra[0], op.extra[1], op.extra[2])
        pass_ = plain(self.at, op)._replace(turn=order)
        folded = self.at.made[op.inputs[0]]
        source = self.at.made[folded.inputs[0]]  # `expand` folds what is turned first
        same = _of_rank4(folded.shape) == _of_rank4(source.shape)
        if source.kind == "FULLY_CONNECTED":
            same = _size(squared(self.at.map_of(source.name))) == _size(self.at.map_of(folded.name))
        if self.machine.family == "u85" and same:
            before = self.passes[-1] if self.passes else None
            if before is not None and self._fuses(before, source, order):
                self.passes[-1] = before._replace(turn=order, output=pass_.output, ofm=pass_.ofm, whole=pass_.whole)
                return
        axis = max(range(3), key=lambda k: self.at.made[folded.name].shape[k])
        self.passes.extend(pieces(pass_, axis))

    def _fuses(self, before: Pass, source: HwOp, order: tuple[int, int, int]) -> bool:
        """Whether the pass before can write its output turned."""
        alone = len(self.passes) < 2 or self.passes[-2].output != before.output
        free = before.whole is None and before.turn is None and before.op != "Resize"
        if not alone or before.output != source.name or not free:
            return False
        if len(self.at.readers[source.name]) > 1 or len(self.at.real_readers(source.name)) > 1:
            return False
        if any(link.op in ELEMENTWISE for link in before.chain):
            return False
        return before.op not in ELEMENTWISE or order in ((0, 2, 1), (2, 0, 1))

    def _mean(self, op: HwOp) -> None:
        """Sums added up and divided; on the U85 in one chain where they have the same shape."""
        out, ofm, whole = self.at.output(op)
        found = sums(self.at, self.machine, op)
        self.passes.extend(found.passes)
        number, seen = found.passes[0].sources, found.seen
        scalar = Map(1, 1, 1, False, 32)
        chains = self.machine.family == "u85" and seen == found.map
        total = found.passes[-1].output
        for k, one in enumerate(found.passes[:-1]):
            made = f"{op.name}_sum+{k}"
            link = Link("Add", found.map, one.output)
            if chains and _fits_chain(self.passes[-1], link):
                self._link(link, made)
            else:
                self.passes.append(Pass("Add", number, (total, one.output), made, seen, seen, ifm2=seen))
            total = made
        if chains:
            self._link(Link("Mul", scalar, ""), out, whole)
        else:
            ofm = seen._replace(bricks=ofm.bricks, bits=ofm.bits)
            self.passes.append(Pass("Mul", number, (total, ""), out, seen, ofm, ifm2=scalar, whole=whole))


def _fits_chain(before: Pass, link: Link) -> bool:
    if before.op == "Resize":  # it works in the memory that chains pass their maps on in
        return False
    length = 1 + sum(other.op in ELEMENTWISE for other in before.chain)
    return length < _CHAIN and _outside(before._replace(chain=(*before.chain, link))) <= _CHAIN_INPUTS


def _outside(pass_: Pass) -> int:
    """Maps a pass and its chain read; scalars that are constant come with the command."""
    others = [pass_.ifm2, *(link.other for link in pass_.chain)]
    names = [pass_.inputs[1] if len(pass_.inputs) > 1 else "", *(link.other_name for link in pass_.chain)]
    return 1 + sum(
        other is not None and (other.elements > 1 or bool(name)) for other, name in zip(others, names, strict=True)
    )


def _of_rank4(shape: Sequence[int]) -> tuple[int, ...]:
    return (*[1] * (4 - len(shape)), *shape)


def _size(shape: Map) -> tuple[int, int, int]:
    return shape.height, shape.width, shape.channels
