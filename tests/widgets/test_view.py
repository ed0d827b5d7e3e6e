"""The view: plain JSON, the session's own numbers, forms that match the transforms."""

import json
from dataclasses import fields

import pytest

import workbench as wb
from workbench.metrics import metric_text
from workbench.transforms import TRANSFORMS
from workbench.widgets import preview_view, session_view
from workbench.widgets.forms import transform_view


def test_the_view_is_json(session, fused, uncalibrated):
    for each in (session, fused, fused.undo(), uncalibrated):
        view = session_view(each)
        assert json.loads(json.dumps(view, allow_nan=False)) == view


def test_blocks_and_totals_are_the_estimates(fused):
    view, estimate = session_view(fused), fused.estimate
    assert [b["name"] for b in view["blocks"]] == list(estimate.blocks["name"])
    assert [b["index"] for b in view["blocks"]] == list(range(len(view["blocks"])))
    assert [b["latency_ms"] for b in view["blocks"]] == list(estimate.blocks["latency_ms"])
    for name, value in estimate.totals().items():
        assert view["totals"][name]["value"] == value
        assert view["totals"][name]["baseline"] == fused.baseline.estimate.totals()[name]


def test_less_is_better(session, fused):
    totals = session_view(fused)["totals"]
    for total in totals.values():
        expected = {-1: "better", 0: "same", 1: "worse"}[
            (total["value"] > total["baseline"]) - (total["value"] < total["baseline"])
        ]
        assert total["mood"] == expected
    assert {total["mood"] for total in session_view(session)["totals"].values()} == {"same"}
    assert totals["macs"]["mood"] == "worse"  # a fused block does more arithmetic


def test_a_preview_is_against_the_session_as_it_is(session, fused):
    further = fused.apply(wb.DepthMultiplier(0.5))
    totals = preview_view(fused, further)
    assert totals["params"]["baseline"] == fused.graph.params
    assert totals["params"]["value"] == further.graph.params < fused.graph.params


def test_undo_and_redo_are_offered_where_there_is_something(session, fused):
    offers = [(v["can_undo"], v["can_redo"]) for v in map(session_view, (session, fused, fused.undo()))]
    assert offers == [(False, False), (True, False), (False, True)]
    assert [step["text"] for step in session_view(fused)["history"]] == ["opened", "FuseIBN(blocks='blocks.1.*')"]


@pytest.mark.parametrize("cls", TRANSFORMS.values(), ids=TRANSFORMS)
def test_a_form_has_every_option(cls):
    form = transform_view(cls)
    assert [o["name"] for o in form["options"]] == [f.name for f in fields(cls)]
    assert form["help"].endswith(".")
    for option in form["options"]:
        assert option["help"], f"{cls.__name__} does not say what {option['name']} is"
        default = getattr(cls(), option["name"])
        assert option["default"] == (", ".join(default) if isinstance(default, tuple) else default)


def test_option_types():
    types = {(t, o["name"]): (o["type"], o["optional"], o["choices"]) for t, cls in TRANSFORMS.items()
             for o in transform_view(cls)["options"]}  # fmt: skip
    assert types["ReplaceActivation", "of"] == ("list", False, [])
    assert types["FuseIBN", "blocks"] == ("blocks", False, [])
    assert types["EvenChannels", "direction"] == ("choice", False, ["nearest", "up", "down", "cost"])
    assert types["EvenChannels", "multiple"] == ("int", True, [])
    assert types["DepthMultiplier", "ratio"] == ("float", False, [])


def test_what_is_not_known_is_none(uncalibrated):
    view = session_view(uncalibrated)
    assert view["totals"]["latency_ms"]["value"] is None
    assert {b["latency_ms"] for b in view["blocks"]} == {None}
    assert "not calibrated" in view["note"]
    assert view["totals"]["macs"]["value"] == uncalibrated.graph.macs


def test_the_history_is_the_session_s(fused):
    """Without pandas it holds what the table holds."""
    recipe = wb.Recipe("mine", (wb.DepthMultiplier(0.75), wb.EvenChannels()))
    state = fused.apply(recipe)
    rows, table = session_view(state)["history"], state.history
    assert [row["text"] for row in rows] == list(table["transform"])
    assert [row["recipe"] for row in rows] == list(table["recipe"])
    assert [row["latency_text"] for row in rows] == [metric_text("latency_ms", value) for value in table["latency_ms"]]
