"""Fused inverted bottleneck: a dense KxK convolution in place of 1x1 expand and KxK depthwise."""

from dataclasses import dataclass, replace

from ..errors import NotApplicable
from ..graph import Block, Graph, Op, Param, Plan, Replace
from ..targets import Target
from .base import Blocks, Transform
from .select import check_blocks, named, select

__all__ = ["FuseIBN"]

TEMPLATE = "timm.models._efficientnet_blocks.EdgeResidual"
_ACTIVATIONS = frozenset("relu relu6 hard_swish hard_sigmoid silu sigmoid tanh gelu mish elu leaky_relu clamp".split())


@dataclass(frozen=True)
class FuseIBN(Transform):
    """Replace inverted bottlenecks (1x1 expand, KxK depthwise, 1x1 project) by fused ones (KxK expand, 1x1 project).

    The fused block is timm's own EdgeResidual. It does more arithmetic and still runs faster where the hardware's
    array is wide and the map is large: a depthwise convolution leaves most of the array idle.

    blocks: selector (see `select.py`). With a pattern, blocks that cannot be fused are passed over; one named by
    its full path must be one that can.

    What a block needs, in this order:
      1. one dense 1x1 convolution of stride 1 that reads the block's input, with batch norm and activation;
      2. one depthwise convolution behind it, with batch norm and activation;
      3. at most a squeeze-excite, in the block's own `se`;
      4. one dense 1x1 convolution with batch norm, and at most the addition of the block's whole input.

    >>> FuseIBN(blocks="blocks.1.*")
    FuseIBN(blocks='blocks.1.*')
    """

    blocks: Blocks = "*"

    def __post_init__(self) -> None:
        check_blocks(self.blocks)

    def plan(self, graph: Graph, target: Target) -> Plan:
        edits, reasons = [], []
        meant = named(self.blocks)
        for block in select(graph, self.blocks):
            try:
                edits.append(_fused(graph, block))
            except NotApplicable as error:
                if block.name in meant:
                    raise
                reasons.append((block.kind != "ibn", error))
        if not edits:
            raise min(reasons, key=lambda pair: pair[0])[1]
        return Plan(tuple(edits))


@dataclass(frozen=True)
class _Parts:
    """The operators of an inverted bottleneck by role (1 to 4 as in FuseIBN's docstring)."""

    expand: Op
    pad: Op | None
    dw: Op
    dw_norm: Op
    act: Op
    se: tuple[Op, ...]
    project: Op
    project_norm: Op


def _fused(graph: Graph, block: Block) -> Replace:
    parts = _parts(graph, block)
    path, read = block.name, block.input
    added: list[Op] = []
    if parts.pad is not None:
        shape = (*graph.by_name[read].shape[:2], *parts.pad.shape[2:])
        pad = replace(parts.pad, name=f"{path}.conv_exp.pad", inputs=(read,), shape=shape, module=f"{path}.conv_exp")
        added.append(pad)
        read = pad.name
    wide, kernel = _weight(parts.expand).shape, _weight(parts.dw).shape
    weight = Param("weight", f"{path}.conv_exp.weight", (*wide[:2], *kernel[2:]))
    dense = replace(parts.dw.with_attrs(groups=1), inputs=(read,), params=(weight,))
    if "compress" in dict(parts.expand.attrs):  # the dense weights of the two stay compressed
        dense = dense.with_attrs(compress=parts.expand["compress"])
    added.append(_placed(dense, f"{path}.conv_exp"))
    added.append(_placed(replace(parts.dw_norm, inputs=(added[-1].name,)), f"{path}.bn1"))
    added.append(_placed(replace(parts.act, inputs=(added[-1].name,)), f"{path}.bn1.act"))
    names = {parts.act.name: added[-1].name}
    added += [replace(op, inputs=tuple(names.get(i, i) for i in op.inputs)) for op in parts.se]
    project = replace(parts.project, inputs=tuple(names.get(i, i) for i in parts.project.inputs))
    added.append(_placed(project, f"{path}.conv_pwl"))
    added.append(_placed(replace(parts.project_norm, inputs=(added[-1].name,)), f"{path}.bn2"))
    gone = tuple(name for name in block.ops if graph.by_name[name].kind != "add" or name != block.output)
    return Replace(gone, tuple(added), "least-squares", path, TEMPLATE)


def _parts(graph: Graph, block: Block) -> _Parts:
    """The block's operators by role; NotApplicable with the rule they break."""

    def need(holds: bool, rule: str) -> None:
        if not holds:
            raise NotApplicable(f"{block.name} ({block.kind}) cannot be fused: {rule}")

    def behind(op: Op) -> Op:
        users = graph.consumers[op.name]
        need(len(users) == 1 and users[0].name in block.ops, f"{op.module} must feed one operator of the block")
        return users[0]

    need(block.kind == "ibn", "it is no inverted bottleneck (1x1 expand, depthwise, 1x1 project)")
    need(block.name in graph.classes, "it is no module of its own")
    ops = [graph.by_name[name] for name in block.ops]
    need(all(_inside(op, block.name) for op in ops), "some of its operators lie outside its module")
    se = tuple(op for op in ops if _inside(op, f"{block.name}.se"))
    convs = [op for op in ops if op.kind == "conv2d" and op not in se]
    need(len(convs) == 3, f"it has {len(convs)} convolutions where expand, depthwise and project are wanted")
    expand, dw, project = convs
    for conv, place in ((expand, "first"), (project, "last")):
        point = conv["kernel"] == (1, 1) and conv["stride"] == (1, 1) and conv["groups"] == 1
        need(point, f"its {place} convolution must be a dense 1x1 of stride 1")
    need(dw.is_depthwise and dw.shape[1] == dw["groups"], "its second convolution must be depthwise")
    plain = all(_weight(op).name == f"{op.module}.weight" and not op.param("bias") for op in convs)
    need(plain, "its convolutions must have plain weights and no bias of their own")

    need(expand.inputs[0] == block.input, "its expansion must read the block's input")
    norm = behind(expand)
    act = behind(norm)
    pad = behind(act)
    before = pad if pad.kind == "pad" else None
    need((behind(pad) if before else pad) is dw, "the depthwise convolution must follow right behind the expansion")
    dw_norm, project_norm = behind(dw), graph.consumers[project.name][0]
    dw_act = behind(dw_norm)
    need(all(op.kind == "batch_norm" for op in (norm, dw_norm, project_norm)), "each convolution needs a batch norm")
    need(act.kind in _ACTIVATIONS, "the expansion needs an activation")
    need(dw_act.kind in _ACTIVATIONS, f"an activation must follow right behind {dw_norm.module}")
    gated = se[-1].name if se else dw_act.name
    need(project.inputs[0] == gated, "the projection must read the activation or the squeeze-excite")

    known = {op.name for op in (expand, norm, act, pad, dw, dw_norm, dw_act, *se, project, project_norm)}
    rest = [op for op in ops if op.name not in known]
    add = rest[0] if len(rest) == 1 and rest[0].name == block.output else None
    whole = add is not None and add.kind == "add" and set(add.inputs) == {project_norm.name, block.input}
    odd = rest[0] if rest else project_norm
    need(not rest or whole, f"its {odd.kind} in {odd.module} has no place in a fused block")
    return _Parts(expand, before, dw, dw_norm, dw_act, se, project, project_norm)


def _inside(op: Op, path: str) -> bool:
    return op.module == path or op.module.startswith(f"{path}.")


def _weight(op: Op) -> Param:
    weight = op.param("weight")
    assert weight is not None
    return weight


def _placed(op: Op, path: str) -> Op:
    """The operator as the layer at this path: its name, its module and its parameters' keys."""
    params = tuple(replace(p, name=f"{path}.{p.name.rpartition('.')[2]}") for p in op.params)
    return replace(op, name=path, params=params, module=path)
