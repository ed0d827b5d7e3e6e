"""What all transforms have in common."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from workbench.errors import InputError, UnknownName
from workbench.transforms import (
    TRANSFORMS,
    ClusterWeights,
    DenseDepthwise,
    DepthMultiplier,
    DropBlock,
    EvenChannels,
    ExpandRatio,
    FuseIBN,
    InputSize,
    KernelSize,
    OutputStride,
    RemoveSE,
    ReplaceActivation,
    Sparsify,
    select,
)

README = Path(__file__).parents[2] / "README.md"

EACH = [
    FuseIBN(("blocks.1.*", "blocks.2.0")),
    EvenChannels("up", 24, "blocks.*"),
    EvenChannels("cost", sram_kib=512, model_kib=8192),
    DepthMultiplier(0.5),
    DenseDepthwise("*[stride==2]"),
    ExpandRatio(3.5, "blocks.*"),
    KernelSize(3, "blocks.*"),
    ReplaceActivation("relu6", of=("silu", "gelu")),
    RemoveSE("blocks.5.*"),
    DropBlock("blocks.5.1"),
    InputSize(192, 256),
    OutputStride(8),
    Sparsify(0.75, "structured", "blocks.*"),
    ClusterWeights(32, ("blocks.1.*", "head")),
    *(example for cls in TRANSFORMS.values() for example in cls.examples()),
]


def test_every_transform_is_listed():
    assert {type(t).__name__ for t in EACH} == set(TRANSFORMS)


@pytest.mark.parametrize("cls", TRANSFORMS.values(), ids=TRANSFORMS)
def test_what_is_offered_names_a_block_in_full_or_a_pattern_that_fits(cls, mobilenet):
    for block in mobilenet.blocks:
        for transform in cls.block_options(mobilenet, block).values():
            assert type(transform) is cls
            assert transform.blocks == block.name
    for transform in cls.network_options(mobilenet):
        assert type(transform) is cls
        if hasattr(transform, "blocks"):
            assert select(mobilenet, transform.blocks)


def test_the_readme_lists_every_transform():
    text = README.read_text(encoding="utf-8").partition("**A transform**")[2].partition("It returns edits")[0]
    assert re.findall(r"`([A-Z]\w+)`", text.partition("There are")[2]) == list(TRANSFORMS)


@pytest.mark.parametrize("transform", EACH, ids=lambda t: type(t).__name__)
def test_plain_data_and_back(transform):
    plain = transform.to_dict()
    assert all(isinstance(v, str | int | float | list | None) for v in plain.values())
    assert type(transform).from_dict(plain) == transform


@pytest.mark.parametrize("cls", TRANSFORMS.values())
def test_unknown_options_name_the_nearest(cls):
    option = fields(cls)[-1].name
    with pytest.raises(UnknownName, match=f"'{option}s'; the nearest is '{option}'"):
        cls(**{option + "s": 1})
    with pytest.raises(UnknownName, match=f"nearest is '{option}'"):
        cls.from_dict({option[:-1]: "*"})


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: FuseIBN(""), "blocks is ''"),
        (lambda: FuseIBN(3), "blocks is 3"),
        (lambda: FuseIBN("*[stride]=2]"), "is no pattern such as"),
        (lambda: FuseIBN("*[width>=wide]"), "'wide' is not a number"),
        (lambda: FuseIBN("*[kind>=ibn]"), "compared with == or !="),
        (lambda: EvenChannels(multiple=0), "multiple is 0"),
        (lambda: EvenChannels(multiple=1.5), "multiple is 1.5"),
        (lambda: EvenChannels("sideways"), "unknown direction 'sideways'"),
        (lambda: DepthMultiplier(0), "ratio is 0"),
        (lambda: DepthMultiplier("0.5"), "ratio is '0.5'"),
        (lambda: DepthMultiplier(ratio=True), "ratio is True"),
        (lambda: Sparsify(1.0), "amount is 1.0; it must be above 0 and below 1, such as 0.5"),
        (lambda: Sparsify("half"), "amount is 'half'"),
        (lambda: Sparsify(0.75, "2:4"), "two of four are half, so it must be 0.5"),
        (lambda: Sparsify(pattern="2:8"), "unknown pattern '2:8'; the nearest is '2:4'"),
        (lambda: ClusterWeights(1), "values is 1; it must be a whole number from 2 to 256, such as 16"),
        (lambda: ClusterWeights(16.0), "values is 16.0"),
        (lambda: ClusterWeights(blocks=()), "blocks is"),
    ],
)
def test_values_are_checked_before_any_graph(make, words):
    with pytest.raises(InputError, match=words):
        make()
