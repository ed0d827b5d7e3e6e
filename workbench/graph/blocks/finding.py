"""A graph's building blocks: its block modules, the loose layers between them, its head, and their facts."""

from math import prod

from ..kinds import ACTIVATIONS, CONVOLUTIONS, POOLS_2D
from ..op import Op
from ..structure import Structure
from .block import Block
from .chains import block_kind
from .layers import Layers, number_layers
from .modules import ModuleTree

__all__ = ["find_blocks"]

_Groups = dict[str, list[int]]  # a block's name -> indices of its operators


def find_blocks(graph: Structure) -> tuple[Block, ...]:
    """The building blocks in execution order; every operator but inputs belongs to exactly one.

    >>> import timm
    >>> from workbench.graph.trace import trace
    >>> [(b.name, b.kind) for b in find_blocks(trace(timm.create_model("mobilenetv2_100"), (3, 64, 64)))][:3]
    [('conv_stem', 'conv'), ('blocks.0.0', 'depthwise-separable'), ('blocks.1.0', 'ibn')]
    """
    layers = number_layers(graph)
    tree = ModuleTree(graph, layers)
    owners = {
        module: next((path for path in lineage if tree.is_block(path)), "") for module, lineage in tree.lineage.items()
    }
    head = _head_name(layers, tree, owners)
    groups = _groups(layers, owners, head)
    leaving = _leaving(graph, layers, groups)
    in_order = sorted(groups.items(), key=lambda item: item[1][0])
    return tuple(_block(graph, tree, name, members, name == head, leaving) for name, members in in_order)


def _head_name(layers: Layers, tree: ModuleTree, owners: dict[str, str]) -> str:
    """The head's name: the module that holds all of it and nothing of the body, else its last layer's."""
    head = [i for i, is_head in enumerate(layers.head) if is_head]
    if not head:
        return ""
    for path in tree.lineage[layers.ops[head[0]].module]:
        whole = tree.is_block(path) or all(layers.head[i] for i in tree.under[path])
        if path and whole and not tree.is_container(path) and set(head) <= set(tree.under[path]):
            return path
    candidates = [layers.ops[i] for i in [i for i in head if layers.ops[i].params] or head]
    in_modules = [op for op in candidates if op.module and op.kind != "param"]
    last = layers.ops[head[-1]].name
    name = in_modules[-1].module if in_modules else last
    return name if name not in owners.values() else last


# ---- groups of operators ----------------------------------------------------------------------------------------


def _groups(layers: Layers, owners: dict[str, str], head: str) -> _Groups:
    """Operators by the block module that runs them; loose ones begin a group at each pool and each layer."""
    groups: _Groups = {}
    loose: list[int] = []
    for i, op in enumerate(layers.ops):
        owner = owners[op.module] if not layers.head[i] else head
        if owner:
            _close(layers, loose, groups)
            groups.setdefault(owner, []).append(i)
            continue
        begins = op.kind in POOLS_2D and not layers.squeezed[i]
        if begins or (layers.letters[i] and any(_is_layer_or_pool(layers, j) for j in loose)):
            _close(layers, loose, groups)
        loose.append(i)
    _close(layers, loose, groups)
    return groups


def _is_layer_or_pool(layers: Layers, i: int) -> bool:
    return bool(layers.letters[i]) or layers.ops[i].kind in POOLS_2D


def _close(layers: Layers, loose: list[int], groups: _Groups) -> None:
    """Name a group of loose operators after its convolution, its norm, or whatever it has, and empty `loose`."""
    if not loose:
        return
    members, loose[:] = list(loose), []
    ops = [layers.ops[i] for i in members]
    before = next((name for name, group in groups.items() if group[-1] == members[0] - 1), "")
    if before and all(op.kind in ACTIVATIONS and _parent(op.module) == _parent(before) for op in ops):
        groups[before] += members  # the activation behind a convolution that is a block by itself
        return
    named_by = [layers.ops[i] for i in members if _is_layer_or_pool(layers, i)]
    norms = [op for op in ops if op.params and op.kind != "param"]
    first = next((op for op in (*named_by, *norms, *ops) if op.module), None)
    key = next((op.params[0].name for op in ops if op.params), ops[0].name)
    groups.setdefault(first.module if first else key, []).extend(members)


def _leaving(graph: Structure, layers: Layers, groups: _Groups) -> frozenset[str]:
    """Tensors that leave their group."""
    home = {layers.ops[i].name: name for name, members in groups.items() for i in members}
    leaving = {
        tensor
        for name, members in groups.items()
        for i in members
        for tensor in layers.ops[i].inputs
        if home.get(tensor) != name
    }
    return frozenset(leaving.union(graph.outputs))


# ---- facts ------------------------------------------------------------------------------------------------------


def _block(
    graph: Structure, tree: ModuleTree, name: str, members: list[int], is_head: bool, leaving: frozenset[str]
) -> Block:
    layers = tree.layers
    ops = [layers.ops[i] for i in members]
    chain = tree.chain_of(name, members)
    source = _source(graph, ops)
    output = next((op.name for op in reversed(ops) if op.name in leaving), ops[-1].name)
    resolution, width = _spatial(layers.shapes[source], layers.channels_last.get(source, False))
    out_resolution, out_width = _spatial(layers.shapes[output], layers.channels_last[output])
    main = [layers.ops[i] for i in chain.layers]
    widths = [_width(op) for op in main[:-1]] or [max(width, out_width) if not main else out_width]
    stride = prod(max(op["stride"]) for op in main if op.kind == "conv2d")
    if len(layers.shapes[output]) > 2:
        stride = max(stride, round(resolution[0] / max(1, out_resolution[0])))
    kernels = (max(layers.ops[i]["kernel"]) for i in members if layers.letters[i] and layers.ops[i].kind == "conv2d")
    return Block(
        name=name,
        kind="head" if is_head else block_kind(layers, members, chain, tree.class_name(name)),
        ops=tuple(op.name for op in ops),
        input=source,
        output=output,
        resolution=resolution,
        width=width,
        mid_width=max(widths),
        out_width=out_width,
        stride=1 if is_head else stride,
        kernel=max(kernels, default=0),
        residual=chain.residual and not is_head,
        se=not is_head and _has_gate(layers, members),
        cls=tree.class_name(name),
    )


def _source(graph: Structure, ops: list[Op]) -> str:
    """The first feature map from outside that a block reads."""
    inside = {op.name for op in ops}
    outside = (n for op in ops for n in op.inputs if n not in inside and graph.by_name[n].kind != "param")
    return next(outside, next(iter(ops[0].inputs), ops[0].name))


def _has_gate(layers: Layers, members: list[int]) -> bool:
    """Whether layers work on squeezed features that do not lead to the output alone."""
    return any(layers.squeezed[i] and layers.ops[i].params and not layers.head[i] for i in members)


def _parent(path: str) -> str:
    return path.rpartition(".")[0]


def _spatial(shape: tuple[int, ...], channels_last: bool) -> tuple[tuple[int, int], int]:
    """(h, w) and channels of a feature map; tokens count as a column."""
    if len(shape) == 4:
        return ((shape[1], shape[2]), shape[3]) if channels_last else ((shape[2], shape[3]), shape[1])
    if len(shape) == 3:
        return (shape[1], 1), shape[2]
    return (1, 1), shape[-1] if shape else 1


def _width(op: Op) -> int:
    return op.shape[1] if op.kind in CONVOLUTIONS else op.shape[-1]
