"""The passes of a lowered network, in the order the accelerator runs them.

Rules, read off the compiler (Ethos-U Vela 5.2):

* order: depth first from the outputs, the last of them and the last input of an operator first; of a concatenation
  the inputs written in place in order, then the copies from the last to the first, each behind what makes its input
* a reshape is a view; a PAD is folded into convolutions, and copied around its input for any other reader
* a concatenation's inputs are written in place where their producer allows, else copied
* what is fused or chained is in `chaining`
* what the accelerator does not take (`cpu_fallback`) has no pass: its output comes from outside
* elementwise operators reshape a feature map of fewer than 8 channels to have 16 or more
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from math import prod
from types import MappingProxyType

from ....hardware.lowering import HwOp
from ..feature_map import FeatureMap
from ..machine import Machine
from ..passes import ELEMENTWISE, ChainedOp, Pass
from ..weight_histogram import WeightHistogram
from .brick_format import grouped_output
from .chaining import PassChain
from .cpu_fallback import cpu_operators
from .data_movement import concatenated_constant, concatenated_input, mirror_pad, pad, tile
from .decompose import decompose
from .kinds import ACTIVATIONS, LOOKED_UP, MAX_STRIDE, POOLS, SLICES
from .mean import mean_sums
from .operator_pass import unweighted_pass, weighted_pass
from .resizing import resize_passes
from .shapes import concatenated, deepened, is_batched, near_square, strides_far
from .split import (
    batch_passes,
    element_passes,
    group_passes,
    matmul_passes,
    piece_passes,
    pool_passes,
)
from .storage import TensorStorage
from .transposed import transposed_passes

__all__ = ["pass_sequence"]

_NO_HISTOGRAMS: Mapping[str, WeightHistogram] = MappingProxyType({})
_COPIES: Mapping[str, Callable[[TensorStorage, HwOp], list[Pass]]] = MappingProxyType(
    {"PAD": pad, "PADV2": pad, "MIRROR_PAD": mirror_pad, "TILE": tile}
)
_JOINS = ("CONCATENATION", "STACK")


def pass_sequence(
    ops: Sequence[HwOp],
    machine: Machine,
    histograms: Mapping[str, WeightHistogram] = _NO_HISTOGRAMS,
    on_cpu: frozenset[str] | None = None,
) -> tuple[Pass, ...]:
    """The passes of a lowered network.

    histograms: of the weights of operators, by name; those without are taken as normal. on_cpu: names of the operators
    that the accelerator does not take, None to find out. Pass.sources[0] is the number of the operator that a pass is
    charged to, inputs of the network not counted.
    """
    if on_cpu is None:
        on_cpu = cpu_operators(ops, machine.family)
    marked = [op._replace(kind="HOST") if op.name in on_cpu else op for op in ops] if on_cpu else ops
    parts, numbers = decompose(marked, machine.family)
    return _Sequence(TensorStorage.of(parts, machine.family, numbers), machine, histograms).run()


class _Sequence:
    """Appends the passes of one operator after the other to `chain`."""

    def __init__(self, storage: TensorStorage, machine: Machine, histograms: Mapping[str, WeightHistogram]) -> None:
        self.storage = storage
        self.aliases = storage.aliases
        self.machine = machine
        self.histograms = histograms
        self.chain = PassChain(storage, machine.family)
        self.passes = self.chain.passes
        self.visited: set[str] = set()

    def run(self) -> tuple[Pass, ...]:
        for op in reversed(self.aliases.ops):
            if not self.aliases.readers[op.name]:
                self._visit(op)
        return tuple(self.passes)

    # ---- order ----

    def _visit(self, end: HwOp) -> None:
        """Append the passes of an operator behind all it needs (with a stack: networks are deeper than Python's)."""
        stack: list[tuple[HwOp, Iterator[tuple[str, bool]]]] = [(end, iter(self._needs(end)))]
        self.visited.add(end.name)
        while stack:
            op, needs = stack[-1]
            for name, copied in needs:
                if not name:
                    self.passes.extend(concatenated_constant(self.storage, op))
                    continue
                if name not in self.visited:
                    self.visited.add(name)
                    producer = self.aliases.producers[name]
                    stack.append((producer, iter(self._needs(producer))))
                    if copied:  # come back for the copy once its input is there
                        stack[-2] = (op, chain([(name, True)], needs))
                    break
                if copied:
                    self.passes.extend(concatenated_input(self.storage, op, name))
            else:
                stack.pop()
                self._append_operator(op)

    def _needs(self, op: HwOp) -> list[tuple[str, bool]]:
        """Names an operator needs, in order, and whether each is then copied; constants, called "", are."""
        if op.kind not in _JOINS:
            return [(name, False) for name in op.inputs[::-1]]
        containers = self.aliases.containers
        in_place = [(name, False) for name in op.inputs if containers.get(name) == op.name]
        parts = op.inputs if op.const is None else [name for name, _ in concatenated(op, self.aliases.producers)]
        return in_place + [(name, True) for name in parts[::-1] if containers.get(name) != op.name]

    # ---- passes ----

    def _append_operator(self, op: HwOp) -> None:
        storage, machine = self.storage, self.machine
        if op.kind in ("INPUT", "HOST", *_JOINS) or op.name in self.aliases.views:
            return
        elif op.kind in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"):
            self._append_weighted(op)
        elif op.kind in ACTIVATIONS or op.kind in LOOKED_UP:
            self._append_activation(op, ACTIVATIONS.get(op.kind, "LUT"))
        elif op.kind == "TRANSPOSE_CONV":
            self._append_transposed(op)
        elif op.kind == "MEAN":
            self._append_mean(op)
        elif op.kind == "TRANSPOSE":
            self._append_transpose(op)
        elif op.kind == "REDUCE_SUM":
            self.passes.extend(piece_passes(unweighted_pass(storage, op), 1))
        elif op.kind == "MATMUL":
            self.passes.extend(matmul_passes(storage, machine, op))
        elif op.kind in POOLS and strides_far(op) and not op.same:
            self.passes.extend(pool_passes(storage, op))
        elif op.kind in ("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"):
            self.passes.extend(resize_passes(storage, machine, op))
        elif op.kind in _COPIES:
            self.passes.extend(_COPIES[op.kind](storage, op))
        else:
            self._append_with_activation(op, unweighted_pass(storage, op))

    def _append_weighted(self, op: HwOp) -> None:
        long_stride = max(op.stride) > MAX_STRIDE
        by_channel = op.kind == "DEPTHWISE_CONV_2D"
        if op.kind == "FULLY_CONNECTED" or not (long_stride or (op.groups > 1 and not by_channel)):
            self._append_with_activation(op, weighted_pass(self.storage, self.machine, op, self.histograms))
            return
        padded = op.same or self.aliases.unpadded(op.inputs[0], op) != op.inputs[0]
        if by_channel or (long_stride and op.groups == 1 and padded):
            self.passes.extend(element_passes(self.storage, self.machine, op, self.histograms))
            if op.act != "NONE":
                self.chain.chain(ChainedOp(ACTIVATIONS[op.act]), self.passes[-1].output)
        else:
            self._append_groups(op)

    def _append_transposed(self, op: HwOp) -> None:
        output = grouped_output(op, self.aliases)
        passes = transposed_passes(self.storage, self.machine, op, self.histograms, output)
        if len(passes) == 1:
            self._append_with_activation(op, passes[0])
            return
        self.passes.extend(passes)
        self._append_separate_activation(op, output)

    def _append_groups(self, op: HwOp) -> None:
        """Groups, and their activation behind all of them."""
        output = grouped_output(op, self.aliases)
        self.passes.extend(group_passes(self.storage, self.machine, op, self.histograms, output))
        self._append_separate_activation(op, output)

    def _append_separate_activation(self, op: HwOp, output: str) -> None:
        """The activation of what several passes have written to `output`."""
        location, ofm, whole = self.storage.output(op)
        if op.act != "NONE":
            total = ofm._replace(bricks=output not in self.storage.nhwc)
            numbers = (self.storage.numbers[op.name],)
            self.passes.append(Pass(ACTIVATIONS[op.act], numbers, (output,), location, total, ofm, whole=whole))

    def _append_with_activation(self, op: HwOp, pass_: Pass) -> None:
        """The pass, chained on the one before where that is possible, and the activation of its operator."""
        if op.act != "NONE" and self.aliases.is_shallow(op) and pass_.kind != "elementwise":
            self._append_reshaped_activation(op, pass_)
            return
        batch = prod(op.shape[:-3])
        if batch > 1 and op.kind != "FULLY_CONNECTED" and (self._takes_one_map(op, pass_) or self._works_on_parts(op)):
            passes = batch_passes(pass_, batch)
            if any(self.aliases.is_sliced(name, leading=True) for name in op.inputs):
                # the compiler counts all of what it slices
                passes = [single._replace(ifm=pass_.ifm) for single in passes]
            self.passes.extend(passes)
            return
        if pass_.op not in ELEMENTWISE or not self.chain.chain_elementwise(op, pass_):
            self.passes.append(pass_)
        if op.act != "NONE":
            self.chain.chain(ChainedOp(ACTIVATIONS[op.act]), pass_.output)

    def _append_reshaped_activation(self, op: HwOp, pass_: Pass) -> None:
        """A pass that makes a shallow feature map, and its activation, which reshapes it."""
        output = f"{op.name}_act"
        self.passes.append(pass_._replace(output=output, ofm=pass_.ofm._replace(bricks=False)))
        ofm = deepened(pass_.ofm)
        self.passes.append(
            Pass(
                ACTIVATIONS[op.act], pass_.sources, (output,), pass_.output, ofm._replace(bricks=False), ofm,
                tensor_bytes=pass_.ofm.stored_bytes,
            )
        )  # fmt: skip

    def _takes_one_map(self, op: HwOp, pass_: Pass) -> bool:
        """Whether the accelerator takes one feature map of a batch at a time."""
        return pass_.kind in ("conv", "depthwise", "pool") and pass_.op != "MemoryCopy" and not is_batched(op)

    def _works_on_parts(self, op: HwOp) -> bool:
        """Whether an operator works on parts of feature maps, or on two of different shapes."""
        producers = self.aliases.producers
        shapes = {producers[name].shape for name in op.inputs if producers[name].elements > 1}
        broadcast = op.const is not None and op.const[0] == "value" and 1 < op.extra[0] < op.elements
        sliced = op.kind in SLICES or any(self.aliases.is_sliced(name) for name in op.inputs)
        return len(shapes) > 1 or broadcast or sliced or op.name in self.aliases.containers

    def _append_activation(self, op: HwOp, pass_op: str) -> None:
        """An activation, fused into what makes its input where possible; one that rescales (ReLU) never is."""
        location, ofm, whole = self.storage.output(op)
        reshaped = self.aliases.is_shallow(op)
        fusable = pass_op == "LUT" and (
            not reshaped or (bool(self.passes) and self.passes[-1].ofm.size == deepened(ofm).size)
        )
        if fusable and self.chain.chain_lookup(self._activation_source(op), location, ofm, whole):
            return
        ifm, tensor_bytes = self.storage.maps[op.inputs[0]], 0
        if reshaped:
            tensor_bytes = ofm.stored_bytes if whole is None else 0
            ifm, ofm = deepened(ifm), deepened(ofm)
        numbers, inputs = (self.storage.numbers[op.name],), (self.storage.location(op.inputs[0]),)
        self.passes.append(Pass(pass_op, numbers, inputs, location, ifm, ofm, whole=whole, tensor_bytes=tensor_bytes))

    def _activation_source(self, op: HwOp) -> str:
        """The input of an activation, before reshapes where an elementwise pass makes that."""
        source = op.inputs[0]
        while self.aliases.producers[source].kind == "RESHAPE" and len(self.aliases.readers[source]) == 1:
            source = self.aliases.producers[source].inputs[0]
        if not self.passes or self.passes[-1].op not in ELEMENTWISE:
            return op.inputs[0]  # a convolution writes its feature map as it is
        return source

    def _append_transpose(self, op: HwOp) -> None:
        """A TRANSPOSE by itself or, on the U85, as the pass that makes its input writes it."""
        order = (op.extra[0], op.extra[1], op.extra[2])
        pass_ = unweighted_pass(self.storage, op)._replace(transpose=order)
        folded = self.aliases.producers[op.inputs[0]]
        source = self.aliases.producers[folded.inputs[0]]  # `transposes` reshapes what is transposed first
        same_shape = _of_rank4(folded.shape) == _of_rank4(source.shape)
        if source.kind == "FULLY_CONNECTED":
            written = near_square(self.storage.maps[source.name])
            same_shape = written.size == self.storage.maps[folded.name].size
        if not same_shape or not self.chain.fuse_transpose(pass_, source, order):
            longest = max(range(3), key=lambda axis: folded.shape[axis])
            self.passes.extend(piece_passes(pass_, longest))

    def _append_mean(self, op: HwOp) -> None:
        """Sums added up and scaled; on the U85 in one chain where they have the same shape."""
        location, ofm, whole = self.storage.output(op)
        sums = mean_sums(self.storage, self.machine, op)
        self.passes.extend(sums.passes)
        numbers, added = sums.passes[0].sources, sums.added
        scalar = FeatureMap(1, 1, 1, False, 32)
        chains = self.machine.family == "u85" and added == sums.ofm
        total = sums.passes[-1].output
        for k, part in enumerate(sums.passes[:-1]):
            output = f"{op.name}_sum+{k}"
            link = ChainedOp("Add", sums.ofm, part.output)
            if chains and self.chain.can_chain(link):
                self.chain.chain(link, output)
            else:
                self.passes.append(Pass("Add", numbers, (total, part.output), output, added, added, ifm2=added))
            total = output
        if chains:
            self.chain.chain(ChainedOp("Mul", scalar, ""), location, whole)
        else:
            ofm = added._replace(bricks=ofm.bricks, bits=ofm.bits)
            self.passes.append(Pass("Mul", numbers, (total, ""), location, added, ofm, ifm2=scalar, whole=whole))


def _of_rank4(shape: Sequence[int]) -> tuple[int, ...]:
    return (*[1] * (4 - len(shape)), *shape)
