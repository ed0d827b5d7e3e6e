"""Steps worth a look: per block, and for the network as a whole."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from ..errors import NotApplicable, UnknownName
from ..graph import Block, Graph, Plan, rewrite
from ..graph.kinds import SMOOTH_RECTIFIERS
from ..hardware import Target
from ..transforms import (
    DenseDepthwise,
    DepthMultiplier,
    DropBlock,
    EvenChannels,
    ExpandRatio,
    FuseIBN,
    KernelSize,
    RemoveSE,
    ReplaceActivation,
    Transform,
)

__all__ = ["Loss", "Option", "block_options", "network_options", "option"]

_NARROWER = (0.75, 0.5, 0.25)


class Loss(Protocol):
    """What an edit does to the function; `surgery.Losses` measures it."""

    def of(self, plans: Sequence[Plan], block: str = "") -> float: ...


@dataclass(frozen=True, eq=False)
class Option:
    """Steps taken one after another on a network.

    key: what they are, whatever the widths of the network. block: the one they change ("" for several). graph: the
    network after them. plans: one a step.
    """

    key: tuple[str, ...]
    block: str
    steps: tuple[Transform, ...]
    plans: tuple[Plan, ...]
    graph: Graph


def option(graph: Graph, target: Target, steps: Sequence[Transform], block: str = "", *key: str) -> Option | None:
    """The steps on a network, None where one of them does not apply."""
    plans: list[Plan] = []
    now = graph
    try:
        for step in steps:
            plans.append(step.plan(now, target))
            now = rewrite(now, plans[-1])
    except (NotApplicable, UnknownName):  # another step took the block out
        return None
    return Option(key or tuple(map(repr, steps)), block, tuple(steps), tuple(plans), now)


def block_options(graph: Graph, target: Target) -> Mapping[str, tuple[Option, ...]]:
    """Block -> ways to change it alone."""
    found = {}
    for block in graph.blocks:
        if block.kind == "head":
            continue
        made = (option(graph, target, steps, block.name, block.name, key) for key, steps in _of_block(block))
        some = tuple(o for o in made if o is not None)
        if some:
            found[block.name] = some
    return found


def _of_block(block: Block) -> Iterator[tuple[str, tuple[Transform, ...]]]:
    name = block.name
    narrow = {share: ExpandRatio(round(share * block.mid_width / max(1, block.width), 4), name) for share in _NARROWER}
    for share, step in narrow.items():
        yield f"narrow {share}", (step,)
    if block.kernel > 3:
        yield "kernel", (KernelSize(3, name),)
        yield "kernel, narrow", (KernelSize(3, name), narrow[0.5])
    if block.se:
        yield "gate", (RemoveSE(name),)
        yield "gate, narrow", (RemoveSE(name), narrow[0.5])
    yield "activation", (ReplaceActivation("hard_swish", SMOOTH_RECTIFIERS, name),)
    yield "drop", (DropBlock(name),)
    if block.kind == "ibn":
        yield "fuse", (FuseIBN(name),)
        for share, step in narrow.items():
            yield f"fuse, narrow {share}", (FuseIBN(name), step)
        if block.kernel > 3:
            yield "kernel, fuse", (KernelSize(3, name), FuseIBN(name))
        if block.se:
            yield "gate, fuse", (RemoveSE(name), FuseIBN(name))
    yield "dense", (DenseDepthwise(name),)


def network_options(graph: Graph, target: Target) -> tuple[Option, ...]:
    """Steps on the network as a whole, or on a range of it."""
    sizes = sorted({min(block.resolution) for block in graph.blocks if block.kind == "ibn"}, reverse=True)
    steps: list[Transform] = [
        EvenChannels("nearest"),
        EvenChannels("up"),
        EvenChannels("down"),
        EvenChannels("cost"),
        DepthMultiplier(0.9),
        DepthMultiplier(0.75),
        ReplaceActivation("hard_swish", SMOOTH_RECTIFIERS),
        RemoveSE(),
        KernelSize(3, "*[kernel>3]") if any(block.kernel > 3 for block in graph.blocks) else KernelSize(3),
        *(FuseIBN(f"*[resolution>={size}]") for size in sizes),
    ]
    made = (option(graph, target, (step,)) for step in steps)
    return tuple(o for o in made if o is not None)
