"""A dense convolution in the place of an expansion and the depthwise convolution behind it, layer by layer.

    x --expand--> --norm, activation--> --pad--> --depthwise--> y        x --pad--> --dense--> y

The dense layer stands where the depthwise one stood, the padding stays, and what stood before becomes identities: the
block keeps its class and its code. A layer is one convolution, or several on slices of one tensor, concatenated; of
these the whole module is replaced.
"""

from collections.abc import Callable, Set
from dataclasses import dataclass, replace

from ..errors import NotApplicable
from ..graph import Block, FuseLayers, Graph, Op, Param
from ..graph.kinds import ADAPTIVE_POOLS, NONLINEARITIES, NORMS, PLAIN_LAYERS, REDUCTIONS
from ..graph.paths import around
from .layer_weights import own_weight

__all__ = ["dense_expansion"]

# what norms with activations in them are written out as (EvoNorm, layer norm between permutations)
_WRITTEN_OUT = frozenset("param permute reshape expand var mean pow sqrt rsqrt add sub mul div maximum".split())
_STATISTICS = (REDUCTIONS - {"norm"}) | ADAPTIVE_POOLS  # of a map, where they make it smaller

_Need = Callable[[bool, str], None]


@dataclass(frozen=True)
class _Layer:
    """A convolution with its own padding, or several on slices of one tensor; the last operator makes the output."""

    ops: tuple[Op, ...]
    convs: tuple[Op, ...]
    reads: str
    module: str

    @property
    def name(self) -> str:
        return self.ops[-1].name

    @property
    def depthwise(self) -> bool:
        return all(op.is_depthwise and op.shape[1] == op["groups"] for op in self.convs)


def dense_expansion(graph: Graph, block: Block) -> FuseLayers:
    """The edit for the first depthwise layer of the block that can take it; NotApplicable with the first one's rule."""

    def need(holds: bool, rule: str) -> None:
        if not holds:
            raise NotApplicable(f"{block.name} ({block.kind}) cannot be fused: {rule}")

    layers = [layer for name in block.ops if (layer := _layer(graph, graph.by_name[name])) is not None]
    pieces = {op.name for layer in layers for op in layer.ops[:-1]}
    spatial = [layer for layer in layers if layer.depthwise and layer.name not in pieces]
    need(bool(spatial), "it has no depthwise convolution with one filter a channel")
    reasons = []
    for dw in spatial:
        try:
            return _edit(graph, block, dw, need)
        except NotApplicable as error:
            reasons.append(error)
    raise reasons[0]


def _edit(graph: Graph, block: Block, dw: _Layer, need: _Need) -> FuseLayers:
    before = graph.by_name[dw.reads]
    pad = before if before.kind == "pad" and before.get("value", 0) == 0 else None
    expand, between = _back(graph, block, pad.inputs[0] if pad else dw.reads, need)
    point = all(op["kernel"] == (1, 1) and op["stride"] == (1, 1) and op["padding"] == (0, 0) for op in expand.convs)
    need(point and not expand.depthwise, f"its expansion {expand.module} must be a 1x1 convolution of stride 1")
    own = all(own_weight(op) is not None for op in (*expand.convs, *dw.convs))
    need(own, f"{expand.module} and {dw.module} must have plain weights of their own")
    need(_aligned(graph, dw), f"the kernels in {dw.module} must have one middle, stride and dilation")
    layers = {op.name for op in (*expand.ops, *between, *dw.ops)}
    removed = layers | {pad.name} if pad else layers
    _check_alone(graph, removed, dw.name, pad, need)
    straight = _straight(graph, block, dw.name)
    need(not straight, f"an activation must stand between {dw.module} and {straight}")

    read = graph.by_name[expand.reads]
    added: list[Op] = []
    if pad is not None:
        read = replace(pad, inputs=(read.name,), shape=(*read.shape[:2], *pad.shape[2:]))
        added.append(read)
    added.append(_dense(graph, expand, dw, read.name))
    ops = tuple(op.name for op in graph.ops if op.name in removed)
    return FuseLayers(ops, tuple(added), graph.classes.get(dw.convs[0].module, ""))


# ---- layers and paths -------------------------------------------------------------------------------------------


def _layer(graph: Graph, op: Op) -> _Layer | None:
    """The layer that makes the tensor of this operator; None where no convolution does."""
    if op.kind == "conv2d":
        before = graph.by_name[op.inputs[0]]
        same = graph.classes.get(op.module, "").endswith("Same")  # it pads as its input needs
        own = before.kind == "pad" and before.module == op.module and same
        return _Layer((before, op) if own else (op,), (op,), (before if own else op).inputs[0], op.module)
    if op.kind != "concat" or len(op.shape) != 4 or op["axis"] % 4 != 1:
        return None
    parts = [part for name in op.inputs if (part := _layer(graph, graph.by_name[name])) is not None]
    slices = [graph.by_name[part.reads] for part in parts]
    if len(parts) < len(op.inputs) or any(cut.kind != "slice" or cut["axis"] % 4 != 1 for cut in slices):
        return None
    width, stops = graph.by_name[slices[0].inputs[0]].shape[1], [0, *(cut["stop"] for cut in slices)]
    starts = [*(cut["start"] for cut in slices), width]
    whole = {cut.inputs[0] for cut in slices}
    if starts != [*stops[:-1], min(stops[-1], width)] or len(whole) > 1 or any(cut["step"] != 1 for cut in slices):
        return None
    inside = {o.name for part in parts for o in part.ops} | {cut.name for cut in slices} | {op.name}
    ops = tuple(o for o in graph.ops if o.name in inside)
    return _Layer(ops, tuple(conv for part in parts for conv in part.convs), whole.pop(), op.module)


def _back(graph: Graph, block: Block, start: str, need: _Need) -> tuple[_Layer, tuple[Op, ...]]:
    """The one layer that leads to this tensor, and the operators between, in execution order."""
    between: dict[str, Op] = {}
    layers: dict[str, _Layer] = {}
    pending = [start]
    while pending:
        op = graph.by_name[pending.pop()]
        if op.name in between or op.name in layers:
            continue
        need(op.name in block.ops, "its depthwise convolution must follow an expansion of its own")
        layer = _layer(graph, op)
        if layer is not None:
            layers[op.name] = layer
            continue
        plain = op.kind in NONLINEARITIES | NORMS | _WRITTEN_OUT
        need(plain, f"its {op.kind} in {op.module} stands between expansion and depthwise convolution")
        between[op.name] = op
        pending += op.inputs
    need(len(layers) == 1, f"{len(layers)} convolutions lead to its depthwise one, not the expansion alone")
    (expand,) = layers.values()
    same = graph.by_name[start].shape == graph.by_name[expand.name].shape
    need(same, f"the depthwise convolution must read a map of the size that {expand.module} makes")
    return expand, tuple(op for op in graph.ops if op.name in between)


def _straight(graph: Graph, block: Block, start: str) -> str:
    """What would read this tensor with no activation on the way; "" where every way has one."""
    size = graph.by_name[start].elements
    pending, visited = [start], {start}
    while pending:
        name = pending.pop()
        users = graph.consumers[name]
        if not users or name in graph.outputs:
            return "the output"
        for user in users:
            if user.name not in block.ops or user.kind in PLAIN_LAYERS | {"matmul"}:
                return user.module or user.name
            pooled = user.kind in _STATISTICS and user.elements < size
            maps = [graph.by_name[i] for i in user.inputs if graph.by_name[i].elements == size]
            product = user.kind == "mul" and len(maps) == 2 and len(graph.by_name[start].shape) == 4
            if not pooled and not product and user.kind not in NONLINEARITIES and user.name not in visited:
                visited.add(user.name)
                pending.append(user.name)
    return ""


# ---- whether it can go ------------------------------------------------------------------------------------------


def _aligned(graph: Graph, dw: _Layer) -> bool:
    """Can the kernels of all slices stand in the middle of the largest?"""
    facts = set()
    for op in dw.convs:
        cls = graph.classes.get(op.module, "").rpartition(".")[2]
        spans = zip(op["padding"], op["dilation"], op["kernel"], strict=True)
        # layers that pad as needed keep the middle themselves
        middle = () if cls == "Conv2dSame" else tuple(2 * p - d * (k - 1) for p, d, k in spans)
        facts.add((cls, op["stride"], op["dilation"], middle, tuple(k % 2 for k in op["kernel"])))
    return len(dw.convs) == 1 or (len(facts) == 1 and cls in ("Conv2d", "Conv2dSame"))


def _check_alone(graph: Graph, removed: Set[str], output: str, pad: Op | None, need: _Need) -> None:
    """Nothing else may read what goes or use its weights, and its modules may do nothing else."""
    staying = {"": ""}  # the modules of all else and those around them -> what they do
    weights: dict[str, str] = {}
    for op in graph.ops:
        if op.name not in removed:
            staying |= dict.fromkeys(around(op.module), op.kind)
            weights |= {p.name: op.module for p in op.params}
    for name in removed:
        op = graph.by_name[name]
        alone = name not in graph.outputs and all(user.name in removed for user in graph.consumers[name])
        need(alone or name == output, f"{op.module} must feed the depthwise convolution alone")
        does = staying.get(op.module)
        why = "is called more than once" if does == op.kind else f"has the {op.kind} written into its code"
        need(does is None or op is pad, f"{op.module or 'the network'} {why}")
        other = next((weights[p.name] for p in op.params if p.name in weights), None)
        need(other is None, f"{other} uses the weights of {op.module} too")


# ---- the new layer ----------------------------------------------------------------------------------------------


def _dense(graph: Graph, expand: _Layer, dw: _Layer, read: str) -> Op:
    """The dense convolution. It has a bias where the depthwise one had, or where no batch norm takes up the shift."""
    like = max(dw.convs, key=lambda op: op["kernel"])
    behind, shape = graph.consumers[dw.name], graph.by_name[dw.name].shape
    own = own_weight(like)
    assert own is not None
    weight = own.name if len(dw.convs) == 1 else f"{dw.module}.weight"
    params = [Param("weight", weight, (shape[1], graph.by_name[expand.reads].shape[1], *like["kernel"]))]
    if any(op.param("bias") for op in dw.convs) or len(behind) != 1 or not behind[0].param("running_mean"):
        params.append(Param("bias", f"{weight.removesuffix('weight')}bias", shape[1:2]))
    dense = like.with_attrs(groups=1)
    if expand.convs[0].get("compress"):  # the dense weights of the two stay compressed
        dense = dense.with_attrs(compress=expand.convs[0]["compress"])
    return replace(dense, name=dw.name, inputs=(read,), shape=shape, params=tuple(params), module=dw.module)
