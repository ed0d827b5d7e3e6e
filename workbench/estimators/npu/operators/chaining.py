"""Operators that run on the output of the pass before, before it is written.

Rules, read off the compiler (Ethos-U Vela 5.2):

* an activation is fused into the pass that makes its input; one by lookup table only where nothing else is, or on the
  U85, and no ReLU or other table
* on the U85 elementwise operators form chains of at most four that read at most three feature maps
* on the U85 a TRANSPOSE is part of the pass that makes its input, if it alone reads it
"""

from dataclasses import dataclass, field

from ....hardware.lowering import HwOp
from ..feature_map import FeatureMap
from ..passes import ELEMENTWISE, ChainedOp, Pass
from .kinds import ACTIVATIONS
from .shapes import deepened, near_square
from .storage import TensorStorage

__all__ = ["PassChain"]

_MAX_CHAIN = 4  # elementwise operators in a row, the first of them or what it is chained on included
_MAX_CHAIN_INPUTS = 3  # feature maps a chain may read
_ACTIVATE = frozenset([*ACTIVATIONS.values(), "LUT"])
_ROWS_WITH_COLUMNS_OR_CHANNELS = ((0, 2, 1), (2, 0, 1))  # orders in which an elementwise pass may write


@dataclass
class PassChain:
    """The passes so far; `passes` grows at its end, where operators are chained."""

    storage: TensorStorage
    family: str
    passes: list[Pass] = field(default_factory=list)

    def chain(self, link: ChainedOp, output: str, whole: FeatureMap | None = None) -> None:
        """Run an operator on the output of the last pass, which is written to `output` instead."""
        self.passes[-1] = self.passes[-1].chained(link, output, whole)

    def can_chain(self, link: ChainedOp) -> bool:
        """Whether the chain of the last pass has room for another elementwise operator."""
        last = self.passes[-1]
        if last.op == "Resize":  # it works in the memory through which chains pass their feature maps on
            return False
        length = 1 + sum(other.op in ELEMENTWISE for other in last.chain)
        return length < _MAX_CHAIN and _maps_read(last._replace(chain=(*last.chain, link))) <= _MAX_CHAIN_INPUTS

    def chain_elementwise(self, op: HwOp, pass_: Pass) -> bool:
        """Chain an elementwise operator, whose pass this would be, on the pass that makes one of its inputs (U85);
        whether that was possible.
        """
        if self.family != "u85":
            return False
        for k, name in enumerate(op.inputs[:2]):
            if not self._ends_with(name) or op.inputs.count(name) > 1:
                continue
            last = self.passes[-1]
            link = self._link(op, pass_, k)
            read = self.storage.maps[name]
            if self.storage.aliases.is_shallow(op):
                read = deepened(read)
            size = pass_.ofm.size
            if last.op == "FullyConnected" and last.chain and last.chain[-1].op in ("Relu", "Relu6"):
                # behind a ReLU of its own, in the shape that it writes
                size = near_square(pass_.ofm).size
            if last.ofm.size == size and pass_.ofm.size == read.size and self.can_chain(link):
                # the last pass's own OFM keeps its format; what is written has the operator's
                other_format = pass_.ofm if pass_.ofm.bricks != last.ofm.bricks else None
                self.chain(link, pass_.output, pass_.whole or other_format)
                return True
        return False

    def chain_lookup(self, source: str, output: str, ofm: FeatureMap, whole: FeatureMap | None) -> bool:
        """Fuse an activation by lookup table into the pass that makes `source`; whether that was possible."""
        if not self._ends_with(source):
            return False
        last = self.passes[-1]
        last_op = last.chain[-1].op if last.chain else last.op
        if last_op in _ACTIVATE or (self.family != "u85" and last.chain):
            return False
        self.chain(ChainedOp("LUT"), output, whole)
        if (last.ofm.bricks, last.ofm.bits) != (ofm.bricks, ofm.bits) and not any(
            link.op in ELEMENTWISE for link in last.chain
        ):
            ofm = last.ofm._replace(bricks=ofm.bricks, bits=ofm.bits)
            self.passes[-1] = self.passes[-1]._replace(ofm=ofm)
        return True

    def fuse_transpose(self, transpose: Pass, source: HwOp, order: tuple[int, int, int]) -> bool:
        """Let the pass that makes `source` write its output in another order (U85); whether that was possible."""
        if self.family != "u85" or not self.passes or not self._can_transpose(source, order):
            return False
        self.passes[-1] = self.passes[-1]._replace(
            transpose=order, output=transpose.output, ofm=transpose.ofm, whole=transpose.whole
        )
        return True

    def _link(self, op: HwOp, pass_: Pass, chained_input: int) -> ChainedOp:
        """A binary operator chained on one of its inputs reads the other one besides."""
        if len(op.inputs) > 1:
            other = op.inputs[1 - chained_input]
            operand = self.storage.maps[other]
            if self.storage.aliases.is_shallow(op) and operand.elements > 1:
                operand = deepened(operand)
            return ChainedOp(pass_.op, operand, self.storage.location(other), op.bits)
        return ChainedOp(pass_.op, pass_.ifm if op.const_first else pass_.ifm2, "", op.bits)

    def _ends_with(self, name: str) -> bool:
        """Whether the last pass alone makes `name`, for one reader alone, and writes it as it is."""
        aliases = self.storage.aliases
        if not self.passes or name in aliases.views or len(aliases.readers[name]) != 1 or name in aliases.containers:
            return False
        last = self.passes[-1]
        return last.output == name and last.whole is None and self._last_is_alone()

    def _last_is_alone(self) -> bool:
        """Whether the last pass is not one of several that write the same output."""
        return len(self.passes) < 2 or self.passes[-2].output != self.passes[-1].output

    def _can_transpose(self, source: HwOp, order: tuple[int, int, int]) -> bool:
        aliases, last = self.storage.aliases, self.passes[-1]
        plain = last.whole is None and last.transpose is None and last.op != "Resize"
        if not self._last_is_alone() or last.output != source.name or not plain:
            return False
        if len(aliases.readers[source.name]) > 1 or len(aliases.readers_through_views(source.name)) > 1:
            return False
        if any(link.op in ELEMENTWISE for link in last.chain):
            return False
        return last.op not in ELEMENTWISE or order in _ROWS_WITH_COLUMNS_OR_CHANNELS


def _maps_read(pass_: Pass) -> int:
    """Feature maps that a pass and its chain read; constant scalars come with the command."""
    operands = [(pass_.ifm2, pass_.inputs[1] if len(pass_.inputs) > 1 else "")]
    operands += [(link.operand, link.operand_name) for link in pass_.chain]
    return 1 + sum(operand is not None and (operand.elements > 1 or bool(name)) for operand, name in operands)
