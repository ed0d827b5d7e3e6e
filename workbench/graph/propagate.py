"""Shapes behind what an edit changed, and what must change with them: paddings, recorded sizes, expansions."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from math import prod

from ..errors import NotApplicable
from .dimension_factors import Factors, output_factors
from .graph import Graph
from .kinds import PLAIN_LAYERS
from .layer_padding import is_padding_of, pads_as_needed
from .op import Op
from .reshapes import reshape_dims
from .shapes import infer_shape

__all__ = ["propagate"]


def propagate(graph: Graph, changed: Mapping[str, Op], fresh: bool = False, maps: bool = True) -> Graph:
    """Recompute shapes behind the changed operators; all others stay the very same objects.

    fresh: the changed operators are new, their shapes unknown. maps: the sizes of feature maps may change.
    """
    before = graph.by_name
    done: dict[str, Op] = {}
    factors: dict[str, Factors] = {}  # of every tensor so far, once a reshape needs them
    for op in graph.ops:
        new = changed.get(op.name, op)
        moved = any(i not in before or done[i].shape != before[i].shape for i in new.inputs)
        if (op.name in changed or moved) and pads_as_needed(graph, new):
            new = _padded(new, done)
            moved = True
        if op.kind == "expand":
            new = _expanded(graph, new, done, moved)
        elif new is not op or moved or (fresh and op.name in changed):
            fixed = (fresh and op.name in changed) or new.attrs != op.attrs
            traced = None if fixed else [before[i].shape for i in op.inputs]
            shapes = [done[i].shape for i in new.inputs]
            factors_read = partial(_factors_read, before, done, new, factors) if maps else None
            shape = infer_shape(new, shapes, traced, factors_read)
            if shape != new.shape:
                new = _recorded(replace(new, shape=shape), shapes)
        done[op.name] = _checked(new, done)
    return Graph(tuple(done.values()), graph.outputs, graph.modules)


def _factors_read(before: Mapping[str, Op], done: Mapping[str, Op], op: Op, factors: dict[str, Factors]) -> Factors:
    """The factors of what `op` reads, after those of all tensors so far have been added."""
    for name, new in done.items():
        if name not in factors:
            old = before.get(name, new)
            recorded = old.shape if len(old.shape) == len(new.shape) else new.shape
            factors[name] = output_factors(new, recorded, [factors[i] for i in new.inputs])
    return factors[op.inputs[0]]


def _expanded(graph: Graph, op: Op, done: Mapping[str, Op], moved: bool) -> Op:
    """The operator in the present shape of the one tensor of its module that it was expanded to."""
    like = (o for o in graph.ops if o.name in done and o.module == op.module and o.shape == op.shape)
    shapes = {done[o.name].shape for o in like} or ({op.shape} if not moved else set())
    if len(shapes) != 1:
        raise NotApplicable(f"{op.module or op.name}: its expansion to {op.shape} is written for one input size")
    shape = shapes.pop()
    return op if shape == op.shape else _recorded(replace(op, shape=shape), ())


def _padded(op: Op, done: dict[str, Op]) -> Op:
    """A layer that pads as TensorFlow's "SAME" does, with the padding its present input needs standing before it.

    n' = ceil(n / s),   pad = max((n' - 1) s + d (k - 1) + 1 - n, 0), the smaller half in front
    """
    pad = done[op.inputs[0]]
    if not is_padding_of(pad, op):
        pad = Op(f"{op.name}.pad", "pad", op.inputs[:1], pad.shape, _no_pads(op), (), op.module)
    source = done[pad.inputs[0]]
    total = []
    for i, n in enumerate(source.shape[2:]):
        step, span = op["stride"][i], (op.get("dilation") or (1, 1))[i] * (op["kernel"][i] - 1) + 1
        total.append(max((-(-n // step) - 1) * step + span - n, 0))
    if not any(total):
        done.pop(pad.name, None)
        return replace(op, inputs=(source.name, *op.inputs[1:]))
    pads = ((0, 0), (0, 0), *((t // 2, t - t // 2) for t in total))
    shape = (*source.shape[:2], *(n + t for n, t in zip(source.shape[2:], total, strict=True)))
    done[pad.name] = replace(pad.with_attrs(pads=pads), shape=shape)
    return replace(op, inputs=(pad.name, *op.inputs[1:]))


def _no_pads(op: Op) -> tuple[tuple[str, object], ...]:
    return (("pads", ()), ("value", float("-inf") if op.kind == "max_pool2d" else 0.0))


def _recorded(op: Op, inputs: Sequence[tuple[int, ...]]) -> Op:
    """Sizes that attributes repeat."""
    if op.kind == "reshape":
        right = all(d is None or n == prod(inputs[0][i] for i in d) for d, n in zip(op["dims"], op.shape, strict=True))
        return op if right else op.with_attrs(dims=reshape_dims(inputs[0], op.shape))
    sizes = {"resize": op.shape[2:], "expand": op.shape}
    return op.with_attrs(size=sizes[op.kind]) if op.kind in sizes else op


def _checked(op: Op, done: Mapping[str, Op]) -> Op:
    """Refuse what torch would refuse: a layer that expects another number of input channels."""
    weight = op.param("weight")
    if weight is None or op.kind not in PLAIN_LAYERS:
        return op
    shape = done[op.inputs[0]].shape
    width = shape[1] if op.kind == "conv2d" else shape[-1]
    expected = weight.shape[1] * (op["groups"] if op.kind == "conv2d" else 1)
    if width != expected:
        raise NotApplicable(f"{op.module or op.name} reads {width} channels where its weights want {expected}")
    return op
