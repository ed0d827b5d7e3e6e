"""Selectors pick the blocks an expert means, and say what is nearest where there is none."""

import pytest

from workbench.errors import NotApplicable, UnknownName
from workbench.transforms import select


def names(graph, blocks):
    return [block.name for block in select(graph, blocks)]


@pytest.mark.parametrize(
    ("blocks", "expected"),
    [
        ("blocks.1.*", ["blocks.1.0", "blocks.1.1"]),
        ("blocks.[12].0", ["blocks.1.0", "blocks.2.0"]),
        ("blocks.2.0, blocks.1.0", ["blocks.1.0", "blocks.2.0"]),
        (("blocks.2.0", "blocks.1.*"), ["blocks.1.0", "blocks.1.1", "blocks.2.0"]),
        ("conv_stem", ["conv_stem"]),
        ("blocks.*[stride==2, width<=24]", ["blocks.1.0", "blocks.2.0"]),
        ("*[kind==ibn, resolution>=16, residual==true]", ["blocks.1.1"]),
        ("[index==0]", ["conv_stem"]),
        ("blocks.[12].*[out_width=24], conv_stem", ["conv_stem", "blocks.1.0", "blocks.1.1"]),
    ],
)
def test_selects(mobilenet, blocks, expected):
    assert names(mobilenet, blocks) == expected


def test_star_is_every_block(mobilenet):
    assert names(mobilenet, "*") == [block.name for block in mobilenet.blocks]


@pytest.mark.parametrize(
    ("blocks", "words"),
    [
        ("block.1.0", "unknown block pattern 'block.1.0'; the nearest is 'blocks.1.0'"),
        ("blocks.1.*, blocks.9.*", r"unknown block pattern 'blocks.9.\*'"),
        ("*[strides==2]", "unknown block fact 'strides'; the nearest is 'stride'"),
        ("*[kind==inb]", "unknown block kind 'inb'; the nearest is 'ibn'"),
    ],
)
def test_names_that_do_not_exist(mobilenet, blocks, words):
    with pytest.raises(UnknownName, match=words):
        select(mobilenet, blocks)


def test_conditions_nothing_meets(mobilenet):
    with pytest.raises(NotApplicable, match=r"stride==3"):
        select(mobilenet, "blocks.*[stride==3]")
