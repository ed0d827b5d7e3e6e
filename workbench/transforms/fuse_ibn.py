"""Fused inverted bottleneck: a dense KxK convolution in place of 1x1 expand and KxK depthwise."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from ..errors import NotApplicable
from ..graph import Block, Graph, Op, Param, Plan, Replace
from ..targets import Target
from .base import Blocks, Transform
from .select import is_explicit, select

__all__ = ["FuseIBN"]

TEMPLATE = "timm.models._efficientnet_blocks.EdgeResidual"


@dataclass(frozen=True)
class FuseIBN(Transform):
    """Replace inverted bottlenecks (1x1 expand, KxK depthwise, 1x1 project) by fused ones (KxK expand, 1x1 project).

    The fused block is timm's own EdgeResidual. It does more arithmetic and still runs faster where the hardware's
    array is wide and the map is large: a depthwise convolution leaves most of the array idle.

    blocks: selector (see `select.py`). With a pattern, blocks that are no inverted bottlenecks are passed over;
    one named by its full path must be one.

    What a block needs, in this order:
      1. one dense 1x1 convolution of stride 1 that reads the block's input, with batch norm and activation;
      2. one depthwise convolution behind it, with batch norm and activation (the same one);
      3. at most a squeeze-excite, in the block's own `se`;
      4. one dense 1x1 convolution with batch norm, and at most the addition of the block's input.

    >>> FuseIBN(blocks="blocks.1.*")
    FuseIBN(blocks='blocks.1.*')
    """

    blocks: Blocks = "*"

    def plan(self, graph: Graph, target: Target) -> Plan:
        edits, reasons = [], []
        for block in select(graph, self.blocks):
            try:
                edits.append(_fused(graph, block))
            except NotApplicable as error:
                reasons.append((block.kind != "ibn", error))
        if reasons and (not edits or is_explicit(self.blocks)):
            raise min(reasons, key=lambda pair: pair[0])[1]
        return Plan(tuple(edits))


def _fused(graph: Graph, block: Block) -> Replace:
    parts = _parts(graph, block)
    expand, dw, project = parts["expand"], parts["dw"], parts["project"]
    kernel = dw.param("weight")
    wide = expand.param("weight")
    assert kernel is not None and wide is not None
    path = block.name
    shape = (wide.shape[0], wide.shape[1], *kernel.shape[2:])
    source = graph.by_name[block.input]
    added: list[Op] = []
    read = block.input
    if "pad" in parts:
        pad = parts["pad"]
        read = f"{path}.conv_exp.pad"
        padded = (*source.shape[:2], *pad.shape[2:])
        added.append(replace(pad, name=read, inputs=(block.input,), shape=padded, module=f"{path}.conv_exp"))
    added.append(
        replace(
            dw.with_attrs(groups=1),
            name=f"{path}.conv_exp",
            inputs=(read,),
            params=(Param("weight", f"{path}.conv_exp.weight", shape),),
            module=f"{path}.conv_exp",
        )
    )
    added.append(_norm(parts["bn2"], f"{path}.bn1", added[-1].name))
    added.append(
        replace(
            parts["act2"], name=f"{path}.bn1.act", inputs=(added[-1].name,), module=_renamed(parts["act2"], path, "bn1")
        )
    )
    names = {parts["act2"].name: added[-1].name}
    gone = [op for op in (graph.by_name[name] for name in block.ops) if op.kind != "add" or op.name != block.output]
    for op in gone:
        if op.module == f"{path}.se" or op.module.startswith(f"{path}.se."):
            added.append(replace(op, inputs=tuple(names.get(i, i) for i in op.inputs)))
    added.append(replace(project, inputs=tuple(names.get(i, i) for i in project.inputs)))
    added.append(_norm(parts["bn3"], f"{path}.bn2", project.name))
    return Replace(tuple(op.name for op in gone), tuple(added), "least-squares", path, TEMPLATE)


def _parts(graph: Graph, block: Block) -> Mapping[str, Op]:
    """The block's operators by role; NotApplicable with the rule they break."""

    def refuse(rule: str) -> NotApplicable:
        return NotApplicable(f"{block.name} ({block.kind}) cannot be fused: {rule}")

    ops = {name: graph.by_name[name] for name in block.ops}
    if block.kind != "ibn":
        raise refuse("it is no inverted bottleneck (1x1 expand, depthwise, 1x1 project)")
    reads = [op for op in ops.values() if block.input in op.inputs]
    convs = [op for op in ops.values() if op.kind == "conv2d" and not _in(op, block, "se")]
    if len(convs) != 3 or convs[0] not in reads:
        raise refuse(f"it has {len(convs)} convolutions where expand, depthwise and project are wanted")
    expand, dw, project = convs
    if expand["groups"] != 1 or expand["kernel"] != (1, 1) or expand["stride"] != (1, 1) or project["groups"] != 1:
        raise refuse("its first and last convolutions must be dense 1x1 ones")
    if any(op.param("bias") or op.param("weight") is None for op in convs):
        raise refuse("its convolutions must have plain weights and no bias of their own")
    parts = {"expand": expand, "dw": dw, "project": project}
    for conv, norm in ((expand, "bn1"), (dw, "bn2"), (project, "bn3")):
        parts[norm] = _next(graph, ops, conv, refuse)
        if parts[norm].kind != "batch_norm":
            raise refuse(f"{conv.module} must be followed by a batch norm")
    for norm, act in (("bn1", "act1"), ("bn2", "act2")):
        parts[act] = _next(graph, ops, parts[norm], refuse)
    if parts["act1"].kind == "batch_norm" or (parts["act1"].kind, parts["act1"].attrs) != (
        parts["act2"].kind,
        parts["act2"].attrs,
    ):
        raise refuse(f"{parts['act1'].kind} and {parts['act2'].kind} around the depthwise must be one activation")
    feeds = graph.by_name[dw.inputs[0]]
    if feeds.kind == "pad" and feeds.name in ops:
        parts["pad"] = feeds
    if not dw.is_depthwise or (parts["pad"].inputs[0] if "pad" in parts else dw.inputs[0]) != parts["act1"].name:
        raise refuse("its second convolution must be the depthwise one, right behind the expansion")
    known = {op.name for op in parts.values()}
    for op in ops.values():
        if op.name in known or _in(op, block, "se"):
            continue
        if op.name == block.output and op.kind == "add" and set(op.inputs) == {parts["bn3"].name, block.input}:
            continue
        raise refuse(f"its {op.kind} at {op.module or op.name} has no place in a fused block")
    return parts


def _in(op: Op, block: Block, child: str) -> bool:
    return op.module == f"{block.name}.{child}" or op.module.startswith(f"{block.name}.{child}.")


def _next(graph: Graph, ops: Mapping[str, Op], op: Op, refuse: object) -> Op:
    """What reads `op` inside the block, where that is one operator (for a squeeze-excite: the op itself)."""
    users = [user for user in graph.consumers[op.name] if user.name in ops]
    if len(users) != 1 or len(graph.consumers[op.name]) != 1:
        assert callable(refuse)
        raise refuse(f"{op.module or op.name} has several readers")
    return users[0]


def _norm(op: Op, path: str, source: str) -> Op:
    params = tuple(replace(p, name=f"{path}.{p.name.rpartition('.')[2]}") for p in op.params)
    return replace(op, name=path, inputs=(source,), params=params, module=path)


def _renamed(op: Op, path: str, norm: str) -> str:
    """timm keeps the activation inside its batch norm: bn2.act becomes bn1.act."""
    tail = op.module.rpartition(".")[2]
    return f"{path}.{norm}.{tail}"
