"""A space counts its candidates, and a candidate is the transforms of its choices, in order."""

import pytest

from workbench.errors import InputError
from workbench.hardware import resolve
from workbench.space import Candidate, Choice, Slot, Space, catalogue
from workbench.transforms import TRANSFORMS, DepthMultiplier, ExpandRatio, FuseIBN, compose

from ..graph.zoo import traced

NETWORK = Slot("", (Choice("as it is"), Choice("half", (DepthMultiplier(0.5),))))
BLOCK = Slot(
    "blocks.1.1",
    (
        Choice("as it is"),
        Choice("fuse", (FuseIBN("blocks.1.1"),)),
        Choice("fuse, narrow", (FuseIBN("blocks.1.1"), ExpandRatio(3, "blocks.1.1"))),
    ),
)
SPACE = Space((NETWORK, BLOCK))


def test_a_candidate_compiles_to_the_steps_of_its_choices():
    target, graph = resolve("ethos-u65-512"), traced("mobilenetv2_100", 64)
    assert SPACE.size == 6
    candidate = SPACE.candidate([1, 2])
    assert [choice.label for choice in candidate.choices] == ["half", "fuse, narrow"]
    by_hand = (DepthMultiplier(0.5), FuseIBN("blocks.1.1"), ExpandRatio(3, "blocks.1.1"))
    assert candidate.transforms == by_hand
    assert candidate.steps(graph, target) == compose(by_hand, graph, target)
    assert SPACE.candidate([0, 0]).steps(graph, target) == ()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: SPACE.candidate([0]), "a candidate of 1 numbers in a space of 2 slots"),
        (lambda: Candidate(SPACE, (0, 3)), "choice 3 in the slot of blocks.1.1, which has 0 to 2"),
        (lambda: SPACE.candidate([-1, 0]), "choice -1 in the slot of the network, which has 0 to 1"),
        (lambda: Slot("blocks.1.1", ()), "has no choice; it needs at least one"),
        (lambda: Slot("", (Choice("a"), Choice("a"))), "the slot of the network has 2 choices 'a'; labels must differ"),
        (lambda: Space((BLOCK, BLOCK)), "2 slots of 'blocks.1.1'; a space has one for each block"),
    ],
)
def test_what_cannot_be_chosen_is_refused(make, words):
    with pytest.raises(InputError, match=words):
        make()


def test_the_catalogue_of_a_network_is_a_space():
    target, graph = resolve("ethos-u65-512"), traced("mobilenetv2_100", 64)
    space = catalogue(graph, target)
    assert space.slots[0].block == ""
    assert {slot.block for slot in space.slots[1:]} <= {block.name for block in graph.blocks}
    assert all(not slot.choices[0].transforms for slot in space.slots)
    assert space.size > 10**12
    labels = {choice.label for slot in space.slots for choice in slot.choices}
    assert {"fuse", "fuse, narrow 0.75", "narrow 0.5", "drop", "dense"} <= labels


def test_what_transforms_offer_for_a_block_has_labels_of_its_own():
    graph = traced("efficientnet_b0", 64)
    for block in graph.blocks:
        labels = [label for cls in TRANSFORMS.values() for label in cls.block_options(graph, block)]
        assert len(labels) == len(set(labels))


def test_nothing_offered_has_a_ratio_outside_the_rule():
    """48 channels over one: no ratio of an expansion."""
    from torch import nn

    from workbench.graph.trace import trace

    layers = nn.Conv2d(1, 64, 3), nn.ReLU(), nn.Conv2d(64, 64, 3, groups=64), nn.Conv2d(64, 8, 1)
    graph = trace(nn.Sequential(nn.Sequential(*layers), nn.Conv2d(8, 8, 1)).eval(), (1, 16, 16))
    assert max(block.mid_width / block.width for block in graph.blocks) > 16
    assert catalogue(graph, resolve("ethos-u65-512")).slots
