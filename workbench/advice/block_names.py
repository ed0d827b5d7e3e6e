"""What a block is, in words: its kind where the structure says one, else what its class is called or what it holds."""

import re

from ..graph import Block, Graph
from ..graph.kinds import KINDS, LAYERS, NORMS, PRODUCTS

__all__ = ["block_words"]

_ENDING = re.compile(r"^(\w*?)(Block|Bottleneck|Cell|Layer|Mixer|Module|Stage|Unit)(?:V?\d*)$")
_SAY_NOTHING = frozenset(("", "Block", "Layer", "Module", "ModuleList", "Sequential", "Stage", "Unit"))


def block_words(graph: Graph, block: Block) -> str:
    """The block's kind, or for what has no kind of its own what its module's class and its operators say.

    "ibn", "head"; "MobileViT block", "Ghost bottleneck", "transformer block", "attention", "MLP", "pooling", "norm".
    """
    if block.kind != "other":
        return block.kind
    ops = [graph.by_name[name] for name in block.ops]
    layers = [op for op in ops if op.kind in LAYERS]
    attends = any(op.kind in PRODUCTS for op in ops)
    if block.cls not in _SAY_NOTHING and (layers or attends):
        return _class_words(block.cls)
    if attends:
        mixes = any(op.kind in LAYERS for op in ops[1 + max(i for i, op in enumerate(ops) if op.kind in PRODUCTS) :])
        return "transformer block" if mixes and len(layers) > 2 else "attention"
    if layers:
        return "MLP" if all(op.kind == "linear" for op in layers) else "layers"
    families = [KINDS[op.kind].family for op in ops if op.kind in KINDS]
    for family, words in (("pool", "pooling"), ("reduction", "pooling"), ("norm", "norm"), ("layout", "data movement")):
        if family in families:
            return words
    return "norm" if any(op.kind in NORMS for op in ops) else "elementwise"


def _class_words(cls: str) -> str:
    """A class name as words: its last noun apart, small.

    >>> _class_words("MobileVitBlock"), _class_words("GhostBottleneck"), _class_words("CrossAttn")
    ('MobileViT block', 'Ghost bottleneck', 'CrossAttn')
    """
    name = cls.replace("Vit", "ViT")
    match = _ENDING.match(name)
    return f"{match[1]} {match[2].lower()}" if match and match[1] else name
