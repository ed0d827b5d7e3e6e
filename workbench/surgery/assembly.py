"""A candidate put together from a block library, and made ready to be judged without training."""

import copy
from collections.abc import Sequence

from torch import Tensor, nn

from ..errors import InputError
from ..graph import Graph
from .counterparts import Counterpart, Edited
from .library import BlockLibrary
from .local_choices import BlockChoice
from .modules import replace_module
from .norm_statistics import estimate_statistics

__all__ = ["assemble", "assembled"]


def assemble(library: BlockLibrary, choices: Sequence[BlockChoice], images: Tensor | None = None) -> nn.Module:
    """A copy of the library's network with the distilled blocks of these choices, at most one a block.

    images: training pictures [N, C, H, W], a few hundred, on which the statistics of its batch norms are estimated
    anew: blocks were distilled on what the original's blocks read, and now read what distilled ones make. None keeps
    them. Raises InputError where the library has no entry of a choice, FileFormatError where its file is damaged.
    """
    blocks = [choice.block for choice in choices]
    for block in blocks:
        if blocks.count(block) > 1:
            raise InputError(f"{blocks.count(block)} choices for {block}; a candidate takes one a block")
    entries = []
    for choice in choices:
        entry = library.entry(choice)
        if entry is None:
            raise InputError(f"the block library has no {choice.label!r} of {choice.block}; fill it with that first")
        entries.append(entry)
    network = copy.deepcopy(library.model).eval()
    for entry in entries:
        path = entry.choice.block
        replace_module(network, path, library.block(entry).get_submodule(path))
    if images is not None:
        estimate_statistics(network, images)
    return network


def assembled(library: BlockLibrary, choices: Sequence[BlockChoice], graph: Graph) -> Edited:
    """The same beside the original; graph: of the candidate. Inside edited blocks nothing has a counterpart."""
    blocks = {choice.block for choice in choices}
    inside = {name for block in graph.blocks if block.name in blocks for name in block.ops if name != block.output}
    before = library.graph.by_name
    outside = [op.name for op in graph.ops if op.name in before and op.name not in inside]
    return Edited(assemble(library, choices), graph, {name: Counterpart(name) for name in outside})
