"""Tables: the values are numbers, what is shown has units, and whatever is done to a table it is shown alike."""

import copy
import math

import pandas as pd
import pytest

from workbench.metrics import DASH, MINUS
from workbench.table import Table


@pytest.fixture
def table() -> Table:
    return Table(
        {
            "block": ["stem", "<b>head</b>"],
            "shape": ["16x8x8", "1000"],
            "latency_ms": [9.292378, math.nan],
            "sram_bytes": [279_034_320, 2048],
            "change %": [-30.413, 0.0],
            "loss": [5.6e-8, math.nan],
            "good": [True, False],
        }
    )


def test_numbers_are_shown_with_units_and_stay_numbers(table) -> None:
    assert list(table.texts().loc[0]) == [
        "stem", "16×8×8", "9.29 ms", "266 MiB", f"{MINUS}30.4 %", "<0.001", "yes",
    ]  # fmt: skip
    assert list(table.texts().loc[1])[2:] == ["unknown", "2.0 KiB", "±0 %", DASH, "no"]
    assert table["latency_ms"].dtype == float and table["sram_bytes"].sum() == 279_036_368
    for shown in (repr(table), table._repr_html_()):
        assert "9.29 ms" in shown and "NaN" not in shown and "e+" not in shown and "9.292378" not in shown
    assert "<b>head" not in table._repr_html_()


def test_what_is_made_of_a_table_is_shown_alike(table) -> None:
    parts = [table.head(1), table[["block", "latency_ms"]], table.sort_values("loss"), table.query("latency_ms > 1")]
    for part in [*parts, copy.deepcopy(table), table.copy(), table.drop(columns="good")]:
        assert "9.29 ms" in repr(part)
    assert " ms" not in repr(table[["latency_ms", "loss"]].corr())


def test_rows_that_are_figures_name_the_unit() -> None:
    compared = Table(
        {"metric": ["latency_ms", "sram_bytes", "dram_bytes"], "before": [2.0, 2048, math.nan], "change %": [1, -2, 0]}
    ).set_index("metric")
    assert list(compared.texts()["before"]) == ["2.00 ms", "2.0 KiB", DASH]
    checked = Table({"figure": ["latency_ms", "sha256"], "bundle": [1.5, "abc"]}, dtype=object)
    assert list(checked.texts()["bundle"]) == ["1.50 ms", "abc"]


def test_differences_have_signs_and_units_may_be_named() -> None:
    changes = Table({"latency_ms": [-0.25, 0.0], "params": [12_345, -1]}, changes=("latency_ms", "params"))
    assert list(changes.texts()["latency_ms"]) == [f"{MINUS}0.250 ms", "±0"]
    assert list(changes.head(1).texts()["params"]) == ["+12.3 k"]
    assert list(Table({"macs": pd.array([1024], dtype="Int64")}, units={"macs": ""}).texts()["macs"]) == ["1024"]


def test_notes_are_kept() -> None:
    frame = pd.DataFrame({"a": [1]})
    frame.attrs["note"] = "why"
    assert Table(frame).query("a == 1").attrs["note"] == "why"
