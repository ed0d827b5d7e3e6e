"""The rules of the linter: each looks at every block of a network and yields what it suspects, with its numbers."""

from collections.abc import Iterator
from math import prod

from ..estimators import Estimate
from ..graph import Block, Graph, Op
from ..graph.kinds import LAYERS, PLAIN_LAYERS, PRODUCTS, SEPARATE_ACTIVATIONS
from ..hardware import Target
from ..metrics import metric_text, quantity_text
from ..transforms import (
    ClusterWeights,
    DenseDepthwise,
    DepthMultiplier,
    EvenChannels,
    ExpandRatio,
    FuseIBN,
    RemoveSE,
    ReplaceActivation,
    Transform,
)
from .finding import WAITS_FOR, Suspicion
from .live_bytes import live_bytes
from .parts import Part, by_bound, moves_data, time_parts

__all__ = ["suspicions"]

_NOTABLE = 0.02  # of the peak above the next block's
_LOW_UTILISATION = 0.15
_SMALL = 0.01  # of the multiply-accumulates
_LITTLE = 0.002  # of the latency
_WORTH_A_WORD = 0.01  # of the latency
_OUTSIDE = ("dram", "flash", "memory")  # memories that are not on the chip


def suspicions(graph: Graph, target: Target, estimate: Estimate) -> Iterator[Suspicion]:
    """What every rule finds."""
    yield from _unaligned(graph, target, estimate)
    yield from _idle(graph, target, estimate)
    yield from _moves(graph, estimate)
    yield from _attention(graph, estimate)
    yield from _waiting(graph, estimate)
    yield from _gates(graph, estimate)
    yield from _activations(graph, estimate)
    yield from _peak(graph, estimate)
    yield from _outside(estimate)


def _unaligned(graph: Graph, target: Target, estimate: Estimate) -> Iterator[Suspicion]:
    """Widths that leave part of the array idle."""
    multiple = target.channel_multiple
    spent = dict(zip(estimate.blocks["name"], estimate.blocks["latency_ms"], strict=True))
    if multiple == 1:
        return
    for block in graph.blocks:
        odd = {
            (op.module, op.shape[1]): -(-op.shape[1] // multiple) * multiple
            for op in _layers(graph, block)
            if op.shape[1] % multiple and max(op.shape[2:]) > 1
        }
        if odd:
            (layer, width), up = max(odd.items(), key=lambda item: item[1] / item[0][1])
            idle = 1 - width / up
            yield Suspicion(
                "uneven width",
                block.name,
                idle * spent.get(block.name, 0.0) / estimate.latency_ms,
                f"{layer} makes {width} channels, the array works in {multiple}s: {100 * idle:.0f} % of it idle",
                (EvenChannels("nearest", blocks=block.name), EvenChannels("up", blocks=block.name)),
            )


def _idle(graph: Graph, target: Target, estimate: Estimate) -> Iterator[Suspicion]:
    """Depthwise convolutions that take far longer than their arithmetic."""
    array = target.mac_array
    if array is None:
        return
    by_op = estimate.detail.latency_ms
    for block in graph.blocks:
        layers = [op for op in _layers(graph, block) if op.is_depthwise]
        took = sum(by_op.get(op.name, 0.0) for op in layers)
        macs = sum(op.macs for op in layers)
        if not layers or not took:
            continue
        used = macs / (took * array.macs_per_ms)
        if used < _LOW_UTILISATION:
            yield Suspicion(
                "idle array",
                block.name,
                took / estimate.latency_ms,
                f"its depthwise convolution takes {_ms(took)} and uses {quantity_text(used, 'share')} of the array",
                (FuseIBN(block.name), DenseDepthwise(block.name)),
            )


def _moves(graph: Graph, estimate: Estimate) -> Iterator[Suspicion]:
    """Operators that compute nothing and still take time: the hardware copies, or reads rows where it wants columns."""
    for block in graph.blocks:
        parts = time_parts(graph, estimate, (name for name in block.ops if moves_data(graph.by_name[name])))
        took = sum(part.latency_ms for part in parts)
        if took > _WORTH_A_WORD * estimate.latency_ms:
            most = parts[0]
            text = f"its {_several(most)} compute nothing and take {_ms(most.latency_ms)}"
            outside = [part for part in by_bound(graph, estimate, block.ops, most.what) if part.bound in _OUTSIDE]
            if outside and outside[0].count < most.count:
                text += f", {outside[0].count} of them {_ms(outside[0].latency_ms)}"
                most = outside[0]
            text += f", {_bound(most)}"
            yield Suspicion("data movement", block.name, took / estimate.latency_ms, text)


def _attention(graph: Graph, estimate: Estimate) -> Iterator[Suspicion]:
    """Products of all tokens with all others, which grow with the square of their number."""
    for block in graph.blocks:
        ops = [graph.by_name[name] for name in block.ops]
        parts = time_parts(graph, estimate, (op.name for op in ops if op.kind in (*PRODUCTS, "softmax")))
        took = sum(part.latency_ms for part in parts)
        if took > _WORTH_A_WORD * estimate.latency_ms:
            tokens = max(graph.by_name[op.inputs[0]].shape[-2] for op in ops if op.kind in PRODUCTS and op.inputs)
            text = f"its attention takes {_ms(took)}, {_bound(parts[0])}: {tokens} tokens, each beside all others"
            yield Suspicion("attention", block.name, took / estimate.latency_ms, text)


def _waiting(graph: Graph, estimate: Estimate) -> Iterator[Suspicion]:
    """Layers that wait for a memory outside the chip rather than compute."""
    bound, by_op = estimate.detail.bound, estimate.detail.latency_ms
    for block in graph.blocks:
        ops = [graph.by_name[name] for name in block.ops]
        waiting = [op for op in ops if op.kind in LAYERS and bound.get(op.name) in _OUTSIDE]
        took = sum(by_op.get(op.name, 0.0) for op in waiting)
        if took <= _WORTH_A_WORD * estimate.latency_ms:
            continue
        slowest = max(waiting, key=lambda op: by_op.get(op.name, 0.0))
        memory = bound[slowest.name]
        weights = sum(prod(op.weight_shape) for op in waiting)
        maps = sum(op.elements + graph.by_name[op.inputs[0]].elements for op in waiting)
        layers = "a layer waits" if len(waiting) == 1 else f"{len(waiting)} of its layers wait"
        what = f"{_bytes(weights)} of weights, {_bytes(maps)} of feature maps"
        light: tuple[Transform, ...] = (ClusterWeights(16, block.name),)
        narrow: tuple[Transform, ...] = (*_narrower(graph, block), DepthMultiplier(0.75, block.name))
        yield Suspicion(
            f"bound by {WAITS_FOR[memory]}",
            block.name,
            took / estimate.latency_ms,
            f"{layers} for {WAITS_FOR[memory]}, {_ms(took)}: {what} have to pass",
            (*light, *narrow) if weights > maps else narrow,
        )


def _gates(graph: Graph, estimate: Estimate) -> Iterator[Suspicion]:
    """Squeeze-excite whose layers hardly compute and still take time."""
    by_op = estimate.detail.latency_ms
    for block in graph.blocks:
        if not block.se:
            continue
        ops = [graph.by_name[name] for name in block.ops]
        tiny = [op for op in ops if op.kind in PLAIN_LAYERS and op.elements == max(op.shape)]
        around = [op for op in ops if op.kind in ("mean", "mul", "sigmoid", "hard_sigmoid")]
        took = sum(by_op.get(op.name, 0.0) for op in (*tiny, *around))
        macs = sum(op.macs for op in tiny) / max(1, graph.macs)
        if tiny and macs < _SMALL and took > 0:
            yield Suspicion(
                "gate",
                block.name,
                took / estimate.latency_ms,
                f"its squeeze-excite takes {_ms(took)} for {quantity_text(macs, 'share')} of the arithmetic",
                (RemoveSE(block.name),),
            )


def _activations(graph: Graph, estimate: Estimate) -> Iterator[Suspicion]:
    """Activations that are not folded into the layer before them: a pass over the map, or several."""
    by_op = estimate.detail.latency_ms
    for block in graph.blocks:
        ops = [graph.by_name[name] for name in block.ops if by_op.get(name)]
        ops = [op for op in ops if op.kind in SEPARATE_ACTIVATIONS]
        took = sum(by_op[op.name] for op in ops)
        if took > _LITTLE * estimate.latency_ms:
            kind = ops[0].kind
            yield Suspicion(
                "activation",
                block.name,
                took / estimate.latency_ms,
                f"its {kind} is not folded into a layer and takes {_ms(took)}",
                (ReplaceActivation("relu6", (kind,), block.name), ReplaceActivation("relu", (kind,), block.name)),
            )


def _peak(graph: Graph, estimate: Estimate) -> Iterator[Suspicion]:
    """A memory peak one block owns: mending it alone lowers what the network needs."""
    top = live_bytes(graph, estimate)
    if len(top) < 2:
        return
    (name, most), (_, second) = sorted(top.items(), key=lambda item: -item[1])[:2]
    above = 1 - second / most
    if above > _NOTABLE:
        block = next(b for b in graph.blocks if b.name == name)
        narrower = _narrower(graph, block)
        yield Suspicion(
            "memory peak",
            name,
            above,
            f"it alone needs {_bytes(most)} of feature maps, any other block at most {_bytes(second)}",
            (FuseIBN(name), *narrower, DepthMultiplier(0.75, name)),
            saves="memory",
        )


def _outside(estimate: Estimate) -> Iterator[Suspicion]:
    """Operators the accelerator leaves to the CPU: what they cost is unknown."""
    blocks = estimate.ops.set_index("name")["block"].to_dict()
    for name in estimate.cpu_ops:
        text = f"{name} runs on the CPU, its time is not counted"
        yield Suspicion("left to the CPU", blocks.get(name, ""), 1.0, text)


def _layers(graph: Graph, block: Block) -> list[Op]:
    return [op for op in (graph.by_name[name] for name in block.ops) if op.kind == "conv2d"]


def _narrower(graph: Graph, block: Block) -> tuple[Transform, ...]:
    """The block with three quarters of its expansion, where it has one."""
    return tuple(step for label, step in ExpandRatio.block_options(graph, block).items() if label == "narrow 0.75")


def _several(part: Part) -> str:
    return part.what if part.count == 1 else f"{part.count} {part.what}"


def _bound(part: Part) -> str:
    return f"bound by {WAITS_FOR.get(part.bound, part.bound)}"


def _ms(latency_ms: float) -> str:
    return metric_text("latency_ms", latency_ms)


def _bytes(count: float) -> str:
    return quantity_text(count, "bytes")
