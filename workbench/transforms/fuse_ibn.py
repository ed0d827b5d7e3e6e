"""Fused inverted bottleneck: a dense KxK convolution in place of 1x1 expand and KxK depthwise."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

from ..graph import Block, FuseLayers, Graph, Op, Param, Plan, ReplaceBlock
from ..graph.kinds import NONLINEARITIES
from ..graph.paths import is_inside
from ..hardware import Target
from .base import Blocks, Transform
from .dense_expansion import dense_expansion
from .per_block import per_block
from .select import check_blocks

__all__ = ["FuseIBN"]

EDGE_RESIDUAL = "timm.models._efficientnet_blocks.EdgeResidual"


@dataclass(frozen=True)
class FuseIBN(Transform):
    """Replace inverted bottlenecks (1x1 expand, KxK depthwise, 1x1 project) by fused ones (KxK expand, 1x1 project).

    A fused block does more arithmetic and still runs faster where the hardware's array is wide and the map is large: a
    depthwise convolution leaves most of the array idle. Where the block has the parts of timm's own EdgeResidual, and
    no others, it becomes one. Elsewhere its layers are exchanged in their own places: the depthwise convolution becomes
    dense and reads what the expansion read; the expansion, its norm and its activation become identities; all that
    stands behind stays.

    blocks: selector (see `select.py`). With a pattern, blocks that cannot be fused are passed over; one named by
    its full path must be one that can.

    What a block of kind "ibn" needs:
      1. a 1x1 convolution of stride 1, the expansion, dense, grouped or on slices of its input (MixConv);
      2. at most norms, activations and a padding, of zeros, behind it, each of the size of the expanded map and a
         module of its own, read by the next alone;
      3. the depthwise convolution, with one filter a channel; of several on slices the kernels have one middle;
      4. weights of their own in 1 and 3, used nowhere else;
      5. an activation somewhere between the depthwise convolution and the next: gates and norms may stand there too.
    It becomes an EdgeResidual where, besides, 1 reads the block's input and is dense, every convolution is without
    bias and has its batch norm, each of the first two its activation right behind that, and nothing else is there but a
    squeeze-excite, in the block's own `se`, and the addition of the block's whole input.

    >>> FuseIBN(blocks="blocks.1.*")
    FuseIBN(blocks='blocks.1.*')
    """

    blocks: Blocks = "*"

    def __post_init__(self) -> None:
        check_blocks(self.blocks)

    @classmethod
    def block_options(cls, graph: Graph, block: Block) -> Mapping[str, Self]:
        return {"fuse": cls(block.name)} if block.kind == "ibn" else {}

    @classmethod
    def network_options(cls, graph: Graph) -> tuple[Self, ...]:
        """The early blocks, where the maps are large, down to every size a bottleneck reads."""
        sizes = {min(block.resolution) for block in graph.blocks if block.kind == "ibn"}
        return tuple(cls(f"*[resolution>={size}]") for size in sorted(sizes, reverse=True))

    def plan(self, graph: Graph, target: Target) -> Plan:
        lack = "cannot be fused: it is no inverted bottleneck (1x1 expand, depthwise, 1x1 project)"
        return per_block(
            graph,
            self.blocks,
            lambda block: (block,) if block.kind == "ibn" else (),
            lambda block: (_fused(graph, block),),
            lack,
        )


@dataclass(frozen=True)
class _Parts:
    """The operators by role of an inverted bottleneck that can become an EdgeResidual."""

    expand: Op
    pad: Op | None
    dw: Op
    dw_norm: Op
    act: Op
    se: tuple[Op, ...]
    project: Op
    project_norm: Op


def _fused(graph: Graph, block: Block) -> ReplaceBlock | FuseLayers:
    parts = _parts(graph, block)
    return dense_expansion(graph, block) if parts is None else _edge_residual(graph, block, parts)


def _edge_residual(graph: Graph, block: Block, parts: _Parts) -> ReplaceBlock:
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
    replaced = tuple(name for name in block.ops if graph.by_name[name].kind != "add" or name != block.output)
    return ReplaceBlock(path, EDGE_RESIDUAL, replaced, tuple(added))


def _parts(graph: Graph, block: Block) -> _Parts | None:
    """The block's operators by role; None where it has not those of an EdgeResidual, and no others."""

    def behind(op: Op) -> Op:
        """The one operator that reads this one, or this one where that is none of the block's."""
        users = graph.consumers[op.name]
        return users[0] if len(users) == 1 and users[0].name in block.ops else op

    ops = [graph.by_name[name] for name in block.ops]
    if block.name not in graph.classes or not all(is_inside(op.module, block.name) for op in ops):
        return None
    se = tuple(op for op in ops if is_inside(op.module, f"{block.name}.se"))
    convs = [op for op in ops if op.kind == "conv2d" and op not in se]
    if len(convs) != 3:
        return None
    expand, dw, project = convs
    points = all(op["kernel"] == (1, 1) and op["stride"] == (1, 1) and op["groups"] == 1 for op in (expand, project))
    plain = all(_weight(op).name == f"{op.module}.weight" and not op.param("bias") for op in convs)
    if not (points and plain and dw.is_depthwise and dw.shape[1] == dw["groups"] and expand.inputs[0] == block.input):
        return None
    norm = behind(expand)
    act = behind(norm)
    pad = behind(act)
    before = pad if pad.kind == "pad" else None
    dw_norm, project_norm = behind(dw), behind(project)
    dw_act = behind(dw_norm)
    normed = all(op.kind == "batch_norm" for op in (norm, dw_norm, project_norm))
    active = all(op.kind in NONLINEARITIES and not op.params for op in (act, dw_act))
    gated = se[-1].name if se else dw_act.name
    if not (normed and active and (behind(pad) if before else pad) is dw and project.inputs[0] == gated):
        return None
    named_parts = {op.name for op in (expand, norm, act, pad, dw, dw_norm, dw_act, *se, project, project_norm)}
    rest = [op for op in ops if op.name not in named_parts]
    add = rest[0] if len(rest) == 1 and rest[0].name == block.output else None
    whole = add is not None and add.kind == "add" and set(add.inputs) == {project_norm.name, block.input}
    if rest and not whole:
        return None
    return _Parts(expand, before, dw, dw_norm, dw_act, se, project, project_norm)


def _weight(op: Op) -> Param:
    weight = op.param("weight")
    assert weight is not None
    return weight


def _placed(op: Op, path: str) -> Op:
    """The operator as the layer at this path: its name, its module and its parameters' keys."""
    params = tuple(replace(p, name=f"{path}.{p.name.rpartition('.')[2]}") for p in op.params)
    return replace(op, name=path, params=params, module=path)
