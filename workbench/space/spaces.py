"""The space of a network: curated for its target, or with every channel count that there is.

The network's choices are taken last: a narrower inside of a block is one of the network as it was opened, and evening
has the last word on all widths.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ..errors import InputError
from ..estimators import WeightValues, estimate
from ..estimators.weight_distributions import NORMAL
from ..graph import Block, Graph
from ..hardware import Target
from ..transforms import DepthMultiplier, Transform, select
from .catalogue import Option, option
from .combinations import block_edits, combined, every_width, favoured_widths, is_narrower, shares
from .curation import curated_choices, measure_of_block, measure_of_network
from .judgement import Judgement
from .network_slots import (
    AS_IT_IS,
    FINEST,
    favours,
    input_sizes,
    network_ratios,
    network_widths,
    output_strides,
)
from .slots import Choice, Slot, Space

__all__ = ["Losses", "Offer", "curated", "uncurated"]

Losses = Mapping[tuple[str, str], float]  # (block, label of a choice) -> loss


@dataclass(frozen=True)
class Offer:
    """What a space offers. Raises InputError for a number outside its rule.

    blocks: selector of the blocks that have a slot. edits: at most so many a block's choice. widths: shares of a
    block's inside, and of the network, to choose from, those of 8ths where it is 8; None: every width that the target
    favours. sizes: of the input, in pixels; None: the next smaller multiples of 32, two at most. network: whether the
    network has slots of its own.
    """

    blocks: str | tuple[str, ...] = "*"
    edits: int = 2
    widths: int | None = 8
    sizes: tuple[int, ...] | None = None
    network: bool = True

    def __post_init__(self) -> None:
        if self.edits not in range(1, 6):
            raise InputError(f"edits is {self.edits!r}; it must be a whole number from 1 to 5")
        if self.widths is not None and self.widths not in range(2, 65):
            raise InputError(f"widths is {self.widths!r}; it must be a whole number from 2 to 64, or None")


def curated(
    graph: Graph,
    target: Target,
    offer: Offer | None = None,
    losses: Losses | None = None,
    values: WeightValues = NORMAL,
) -> Space:
    """What may be chosen on a network, without what is never the better choice on the target (see `curation.py`).

    losses: of a block's choices, where they were measured (`Session.library`); without them parameters and arithmetic
    do not stand in, and only choices that another holds, or that gain nothing and add nothing, are pruned. values: how
    weights are distributed, for the estimates. Raises WorkbenchError for a target without estimates.
    """
    curation = _Curation(graph, target, offer or Offer(), losses or {}, values)
    slots: list[Slot] = []
    judgements: list[Judgement] = []
    for slot, of_slot in curation.slots():
        judgements += of_slot
        if slot is not None:
            slots.append(slot)
    return Space(tuple(slots), tuple(judgements))


def uncurated(graph: Graph, target: Target, offer: Offer | None = None) -> Space:
    """Everything that may be chosen: the insides of blocks channel by channel, the network's widths in 64ths.

    No choice is estimated. Of widths one a kind of choice is tried, the others apply alike.
    """
    offer = offer or Offer()
    slots = []
    for block in select(graph, offer.blocks):
        choices = list(_every_choice(graph, target, block, offer.edits))
        if choices:
            slots.append(Slot(block.name, (AS_IT_IS, *choices)))
    if offer.network:
        multipliers = [
            Choice(f"multiplier {k}/{FINEST}", (DepthMultiplier(k / FINEST, multiple=1),))
            for k in range(FINEST - 1, FINEST // 2 - 1, -1)
        ]
        widths = [*(o.choice for o in network_widths(graph, target, ())), *_choices(graph, target, multipliers)]
        sizes = [o.choice for o in input_sizes(graph, target, offer.sizes)]
        strides = [o.choice for o in output_strides(graph, target)]
        aspects = {"widths": widths, "input size": sizes, "output stride": strides}
        slots += [Slot("", (AS_IT_IS, *choices), aspect) for aspect, choices in aspects.items() if choices]
    return Space(tuple(slots))


def _choices(graph: Graph, target: Target, choices: Sequence[Choice], block: str = "") -> list[Choice]:
    return [choice for choice in choices if option(graph, target, choice, block) is not None]


def _every_choice(graph: Graph, target: Target, block: Block, edits: int) -> Iterator[Choice]:
    """What may be done to a block, narrower insides channel by channel."""
    options = block_edits(graph, block)
    widths = every_width(graph, block)
    yield from _choices(graph, target, list(combined(options, edits)), block.name)
    if not widths:
        return
    narrower = shares(graph, block, widths, None, multiple=widths[0])
    for before in _before_narrowing(graph, target, block, options, edits):
        for label, transform in narrower.items():
            yield _then(before, label, transform)


def _before_narrowing(
    graph: Graph, target: Target, block: Block, options: Mapping[str, Transform], edits: int
) -> Iterator[Choice]:
    """What a narrower inside may follow, tried with a half: nothing, and the combinations it can end."""
    half = shares(graph, block, favoured_widths(graph, block, target) or every_width(graph, block), 2)
    for label, transform in half.items():
        probe = {**options, label: transform}
        for choice in combined(probe, edits):
            if is_narrower(choice.label) and option(graph, target, choice, block.name) is not None:
                yield Choice(choice.label.removesuffix(label).removesuffix(", "), choice.transforms[:-1])


def _then(before: Choice, label: str, transform: Transform) -> Choice:
    return Choice(", ".join(filter(None, (before.label, label))), (*before.transforms, transform))


@dataclass(frozen=True)
class _Curation:
    """The curation of one network. losses: none where they were not measured."""

    graph: Graph
    target: Target
    offer: Offer
    losses: Losses
    values: WeightValues
    interval: tuple[float, float] = field(init=False)

    def __post_init__(self) -> None:
        base = estimate(self.graph, self.target, self.values)
        low, high = base.latency_interval_ms
        object.__setattr__(self, "interval", (low / base.latency_ms, high / base.latency_ms))

    def slots(self) -> Iterator[tuple[Slot | None, Sequence[Judgement]]]:
        """Every slot and what was made of its choices; None where only one choice is left."""
        for block in select(self.graph, self.offer.blocks):
            yield self._of_block(block)
        if self.offer.network:
            yield from self._of_network()

    def _of_network(self) -> Iterator[tuple[Slot | None, Sequence[Judgement]]]:
        graph, target = self.graph, self.target
        ratios = network_ratios(self.offer.widths or FINEST)
        widths = network_widths(graph, target, ratios)
        options = [applied for applied in widths if favours(target, applied.graph)]
        uneven = [applied for applied in widths if applied not in options]
        off = f"widths that are no multiples of {target.channel_multiple}, which {target.name} favours"
        pruned = [Judgement("widths", o.choice.label, "pruned", off) for o in uneven]
        yield self._curated("", "widths", options, pruned)
        yield self._curated("", "input size", input_sizes(graph, target, self.offer.sizes))
        yield self._curated("", "output stride", output_strides(graph, target))

    def _of_block(self, block: Block) -> tuple[Slot | None, Sequence[Judgement]]:
        graph, target = self.graph, self.target
        options = block_edits(graph, block)
        favoured = favoured_widths(graph, block, target)
        narrower = shares(graph, block, favoured, self.offer.widths)
        choices = combined({**options, **narrower}, self.offer.edits)
        applied = [option(graph, target, choice, block.name) for choice in choices]
        judgements = []
        every = len(every_width(graph, block))
        for before in _before_narrowing(graph, target, block, options, self.offer.edits):
            label = ", ".join(filter(None, (before.label, "narrow")))
            off = every - len(favoured)
            if off:
                why = f"no multiples of {target.channel_multiple} channels, which {target.name} favours"
                judgements.append(Judgement(block.name, f"{label} to {off} other widths", "pruned", why, off))
            between = len(favoured) - len(narrower)
            if between:
                why = f"between the shares of {self.offer.widths} to choose from"
                judgements.append(Judgement(block.name, f"{label} to {between} even widths", "pruned", why, between))
        return self._curated(block.name, "", [o for o in applied if o is not None], judgements)

    def _curated(
        self, block: str, aspect: str, options: Sequence[Option], pruned: Sequence[Judgement] = ()
    ) -> tuple[Slot | None, Sequence[Judgement]]:
        if not options and not pruned:
            return None, ()
        as_it_is = Option(block, AS_IT_IS, (), self.graph)
        if block:
            measure = measure_of_block(self.graph, self.target, block, self.losses, self.values)
        else:
            measure = measure_of_network(self.graph, self.target, self.losses, self.values)
        kept, judged = curated_choices(block or aspect, (as_it_is, *options), measure, self.interval)
        return (Slot(block, kept, aspect) if len(kept) > 1 else None), (*judged, *pruned)
