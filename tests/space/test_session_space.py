"""The verbs of a session that give a space and draw its landscape."""

import pandas as pd
import pytest

import workbench as wb


@pytest.fixture(scope="module")
def session():
    return wb.open("resnet18", target="ethos-u55-128", input_size=(3, 64, 64))


def test_a_space_is_curated_or_whole(session):
    space, whole = session.space(), session.space(curated=False)
    assert [slot.name for slot in space.slots][-1] == "input size"
    assert space.size < whole.size
    assert set(space.explain().verdict) >= {"kept", "pruned"}
    with pytest.raises(wb.errors.UnknownName, match=r"block pattern 'layer9\.\*'"):
        session.space("layer9.*")


def test_losses_of_the_library_prune_what_is_slower_and_larger(session):
    """A table as `library()` gives it: dense blocks lose nothing, and are never worth their time."""
    network = wb.open("mobilenetv2_050", target="ethos-u55-128", input_size=(3, 64, 64))
    without = network.space("blocks.2.1", edits=1).slots[0]
    table = pd.DataFrame({"block": ["blocks.2.1"], "choice": ["dense"], "loss_distilled": [0.0]})
    space = network.space("blocks.2.1", edits=1, losses=table)
    assert "dense" in [choice.label for choice in without.choices]
    assert "dense" not in [choice.label for choice in space.slots[0].choices]
    row = space.explain().set_index("choice").loc["dense"]
    assert row.verdict == "pruned"
    assert row.loss == 0
    assert "loses no less" in row.reason


def test_the_landscape_is_a_figure(session):
    from matplotlib.figure import Figure

    figure = session.landscape(path=[(1.0, 11), (0.5, 9)])
    assert isinstance(figure, Figure)
    assert "resnet18 on ethos-u55-128" in figure.get_suptitle()
