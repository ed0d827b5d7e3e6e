"""Colours of blocks from what was measured of them."""

import pandas as pd
import pytest

from workbench.errors import InputError
from workbench.widgets import Bench

from .test_gestures import BLOCK


def test_errors_of_int8_and_losses_of_edits_are_colours_until_the_block_is_another(session, fused):
    bench = Bench(session)
    layers = [f"{BLOCK}.conv_pw", f"{BLOCK}.conv_dw", "conv_stem", "network"]
    bench.colour_by(pd.DataFrame({"layer": layers, "own": [0.01, 0.04, 0.02, float("nan")]}))
    bench.colour_by(pd.DataFrame({"block": [BLOCK, BLOCK], "loss_distilled": [0.3, 0.1]}))
    names = [block["name"] for block in bench.view["blocks"]]
    int8, loss = bench.marks["int8"], bench.marks["loss"]
    assert int8["blocks"][names.index(BLOCK)] == [9, "int8 error 4.0 %"] and int8["top"] == "4.0 %"
    assert int8["blocks"][names.index("conv_stem")][1] == "int8 error 2.0 %"
    assert loss["blocks"][names.index(BLOCK)][1] == "loss of editing 10.0 %"
    assert sum(block is not None for block in int8["blocks"]) == 2
    bench.session = fused
    assert bench.marks["int8"]["blocks"][names.index(BLOCK)] is None
    assert bench.marks["int8"]["blocks"][names.index("conv_stem")] is not None
    bench.close()


def test_another_table_is_refused(session):
    with pytest.raises(InputError, match="has no colour of blocks"):
        Bench(session).colour_by(session.blocks)
