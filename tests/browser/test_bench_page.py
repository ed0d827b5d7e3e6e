"""The bench's modules in a plain page against a stub of the model, fed with what a real session sends: no kernel."""

import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from accessible import grave
from playwright.sync_api import Page, expect
from stub import files_of, opened, state_of

import workbench as wb
from tests.instant_trials import instant_study
from workbench.space import Choice, Slot, Space
from workbench.widgets import Bench

HOSTILE = '<img src=x onerror="window.broken=1"><script>window.broken=1</script>'


@pytest.fixture(scope="module")
def states() -> dict[str, Any]:
    """What two states of a bench send: as opened, and with a block selected, budgets, a note and two branches."""
    session = wb.open("mobilenetv2_050", target="ethos-u65-512", input_size=(3, 96, 96))
    bench = Bench(session.annotate("blocks.1.0", HOSTILE))
    bench.looked = True
    bench.wait()
    states = {"opened": state_of(bench)}
    bench.command = {"id": 1, "action": "budget", "metric": "sram_bytes", "value": 100}
    bench.command = {"id": 2, "action": "apply", "transform": "FuseIBN", "params": {"blocks": "blocks.1.1"}}
    bench.selection = ["blocks.1.0"]
    bench.wait()
    states["selected"] = state_of(bench)
    bench.command = {"id": 3, "action": "aim", "target": "onnxruntime-cpu"}
    bench.wait()
    states["unknown"] = state_of(bench)
    states["files"] = files_of(bench)
    bench.close()
    return states


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a bench sends that shows the study of a search, stands on a branch, and has a budget."""
    session = wb.open("mobilenetv2_050", target="ethos-u65-512", input_size=(3, 96, 96))
    slots = []
    for name in ("blocks.1.0", "blocks.2.0", "blocks.3.0", "blocks.4.0"):
        edits = {"fuse": wb.FuseIBN(name), "half": wb.ExpandRatio(3.0, name)}
        slots.append(Slot(name, (Choice("as it is"), *(Choice(label, (edit,)) for label, edit in edits.items()))))
    path = tmp_path_factory.mktemp("studies") / "mobilenet.db"
    bench = session.bench()
    bench.study = instant_study(session, Space(tuple(slots)), path, strategy="multishot", trials=16)
    bench.command = {"id": 1, "action": "budget", "metric": "latency_ms", "value": 0.24}
    bench.command = {"id": 2, "action": "apply", "steps": [{"transform": "FuseIBN", "blocks": "blocks.1.0"}]}
    bench.looked = True
    bench.beside = ["ethos-u55-128", "ethos-u65-512", "ethos-u85-256", "onnxruntime-cpu"]
    bench.colour_by(pd.DataFrame({"block": ["blocks.1.0", "blocks.2.0"], "loss_distilled": [0.1, 0.4]}))
    bench.wait()
    states = {"ended": state_of(bench), "files": files_of(bench)}
    states["begun"] = {
        **states["ended"],
        "front": {**states["ended"]["front"], "points": [], "y": [], "stairs": []},
        "searched": {"stage": "training", "text": "training (0 of 16)", "share": 0.0, "can": ["pause", "cancel"]},
    }
    bench.close()
    return states


def messages(page: Page) -> list[dict[str, Any]]:
    """Those since the last look."""
    sent: list[dict[str, Any]] = page.evaluate("() => window.messages.splice(0)")
    return sent


def test_pointing_draws_a_row_over_everything_and_asks_nobody(page: Page, states: dict[str, Any]) -> None:
    bench = opened(page, states, "selected")
    rows = states["selected"]["table"]["rows"]
    row = next(row for row in rows if row["what"] == "fuse")
    line = bench.locator(f"tr[data-row='{row['id']}']")
    line.hover()
    total = row["ghost"]["totals"]["latency_ms"]
    expect(bench.locator("[data-preview=latency_ms]")).to_contain_text(total["text"])
    expect(bench.locator("[data-preview=latency_ms]")).to_contain_text(total["change"])
    column = bench.locator("[data-block='blocks.1.0']")
    expect(column.locator(".wb-cap.wb-shown")).to_be_visible()
    then, now = row["ghost"]["blocks"]["2"][0], states["selected"]["view"]["blocks"][2]["latency_ms"]
    bar, cap = column.locator(".wb-bar").bounding_box(), column.locator(".wb-cap").bounding_box()
    assert bar and cap and cap["height"] / bar["height"] == pytest.approx((now - then) / now, abs=0.05)
    assert bench.locator(".wb-alive-then").count() == sum(max(len(b[2]), 1) for b in row["ghost"]["blocks"].values())
    bench.locator(".wb-title").hover()
    expect(bench.locator("[data-preview]")).to_have_count(0)
    expect(bench.locator(".wb-cap.wb-shown")).to_have_count(0)
    assert messages(page) == []


def test_everything_is_done_by_keyboard_with_one_message_a_gesture(page: Page, states: dict[str, Any]) -> None:
    bench = opened(page, states, "selected")
    first, second = (bench.locator("tr[data-row]").nth(n) for n in (0, 1))
    first.focus()
    page.keyboard.press("ArrowDown")
    expect(second).to_be_focused()
    expect(bench.locator("[data-preview=latency_ms]")).to_be_visible()
    page.keyboard.press("Shift+Enter")
    page.evaluate("() => { model.receive('done', model.get('command').id); window.messages.length = 0; }")
    page.keyboard.press("Enter")
    [message] = messages(page)
    assert list(message) == ["command"] and message["command"]["action"] == "apply"
    row_id = second.get_attribute("data-row")
    row = next(row for row in states["selected"]["table"]["rows"] if row["id"] == row_id)
    assert message["command"]["steps"] == row["steps"] and "branch" not in message["command"]
    page.evaluate("() => model.receive('done', model.get('command').id)")

    page.keyboard.press("Control+z")
    page.evaluate("() => model.receive('done', model.get('command').id)")
    assert [m["command"]["action"] for m in messages(page)] == ["undo"]

    bench.locator("[data-block='blocks.1.0']").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    [message] = messages(page)
    assert message == {"selection": ["blocks.1.0", "blocks.1.1"]}
    expect(bench.locator("[data-block='blocks.1.1']")).to_be_focused()

    page.keyboard.press("/")
    expect(bench.locator("[data-field=search]")).to_be_focused()
    page.keyboard.type("blocks.2")
    page.keyboard.press("Enter")
    assert messages(page) == [{"selection": ["blocks.2.0", "blocks.2.1", "blocks.2.2"]}]

    plot = bench.locator(".wb-memory [role=slider]")
    plot.focus()
    page.keyboard.press("End")
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    step = states["selected"]["view"]["steps"][1]
    expect(plot).to_have_attribute("aria-valuetext", re.compile(f"^{step[11]} alive"))
    page.keyboard.press("Enter")
    assert messages(page) == [{"selection": [states["selected"]["view"]["blocks"][step[0]]["name"]]}]

    bench.locator("[data-tab=whatif]").focus()
    page.keyboard.press("ArrowRight")
    expect(bench.locator("[data-tab=operators]")).to_be_focused()
    bench.locator("tr[data-key='block blocks.1.0'], tr[data-key]").first.focus()
    page.keyboard.press("ArrowDown")
    expect(bench.locator("[data-panel=operators] tr[data-key]").nth(1)).to_be_focused()


def test_panels_and_the_memory_under_the_pointer(page: Page, states: dict[str, Any]) -> None:
    bench = opened(page, states, "selected")
    view = states["selected"]["view"]
    plot = bench.locator(".wb-memory [role=slider]")
    box = plot.bounding_box()
    assert box
    page.mouse.move(box["x"] + 3, box["y"] + box["height"] / 2)
    expect(bench.locator(".wb-tip")).to_contain_text(f"{view['steps'][0][11]} alive")
    expect(bench.locator(".wb-tip")).to_contain_text(view["tensors"][view["steps"][0][12][0]].split()[0])
    bench.locator(".wb-peak").click()
    assert messages(page) == [{"selection": [view["blocks"][view["steps"][view["peak"]][0]]["name"]]}]

    bench.locator("[data-tab=branches]").click()
    expect(bench.locator("[role=treeitem]")).to_have_count(2)
    bench.locator("[data-compare='1']").click()
    assert messages(page)[0]["command"]["action"] == "compare"
    page.evaluate("() => model.receive('done', model.get('command').id)")
    bench.locator("[role=treeitem]").first.click()
    assert messages(page)[0]["command"] == {"id": 4, "action": "go", "node": 0}
    page.evaluate("() => model.receive('done', model.get('command').id)")

    bench.locator("[data-tab=code]").click()
    expect(bench.locator("[data-panel=code] code")).to_contain_text("session.apply(wb.FuseIBN(blocks='blocks.1.1'))")
    bench.locator("[data-budget=latency_ms]").click()
    bench.locator("[data-field=budget-latency_ms]").fill("0.4")
    page.keyboard.press("Enter")
    assert messages(page)[0]["command"] == {"id": 5, "action": "budget", "metric": "latency_ms", "value": 0.4}


def test_hostile_text_is_text_everywhere(page: Page, states: dict[str, Any]) -> None:
    def poisoned(value: Any) -> Any:
        """Every text that a file or a user can bring."""
        if isinstance(value, dict):
            return {
                key: poisoned(item) if key not in ("bound", "id", "blocks") else poisoned_blocks(item)
                for key, item in value.items()
            }
        return [poisoned(item) for item in value] if isinstance(value, list) else value

    def poisoned_blocks(value: Any) -> Any:
        return [{**block, "what": HOSTILE, "kind": HOSTILE} for block in value] if isinstance(value, list) else value

    state = {**states["selected"], "view": poisoned(states["selected"]["view"])}
    state |= {"status": HOSTILE, "plan": {"text": HOSTILE, "running": True}, "cell": HOSTILE}
    state["view"] = {
        **state["view"],
        "model": HOSTILE,
        "note": HOSTILE,
        "tensors": [HOSTILE] * len(state["view"]["tensors"]),
    }
    state["branches"] = {
        **state["branches"],
        "nodes": [{**n, "text": HOSTILE, "verdict": HOSTILE} for n in state["branches"]["nodes"]],
    }
    state["advice"] = {
        "sentence": HOSTILE,
        "findings": [
            {"block": "blocks.1.0", "rule": HOSTILE, "severity": HOSTILE, "text": HOSTILE, "mend": HOSTILE, "steps": []}
        ],
    }
    bench = opened(page, {**states, "hostile": state}, "hostile")
    for tab in ("operators", "form", "branches", "code"):
        bench.locator(f"[data-tab={tab}]").click()
    bench.locator("[data-block='blocks.1.0']").hover()
    bench.locator(".wb-memory [role=slider]").hover()
    assert bench.locator("img, script").count() == 0
    assert page.evaluate("() => window.broken") is None
    assert HOSTILE in bench.inner_text()


def test_it_looks_right_in_both_themes_and_at_every_width(page: Page, states: dict[str, Any], pictures: Path) -> None:
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        for width in (1400, 900, 390):
            page.set_viewport_size({"width": width, "height": 1000})
            bench = opened(page, states, "selected")
            bench.locator("tr[data-row]").first.focus()
            page.screenshot(path=pictures / f"page-{scheme}-{width}.png", full_page=True)
            assert page.evaluate("() => document.documentElement.scrollWidth <= window.innerWidth"), (
                f"{width} px: scrolls sideways"
            )
    page.emulate_media(color_scheme="light", forced_colors="active")
    bench = opened(page, states, "selected")
    expect(bench.locator("[data-block='blocks.1.0']")).to_have_css("outline-style", "solid")


def test_a_target_without_estimates_still_shows_the_network(page: Page, states: dict[str, Any]) -> None:
    failures: list[str] = []
    page.on("pageerror", lambda error: failures.append(str(error)))
    bench = opened(page, states, "unknown")
    expect(bench.locator("[data-total=latency_ms] .wb-value")).to_have_text("unknown")
    expect(bench.locator("[data-block]")).to_have_count(len(states["opened"]["view"]["blocks"]))
    expect(bench.get_by_role("note")).to_contain_text("not calibrated")
    expect(bench.locator(".wb-memory")).to_be_hidden()
    for tab in ("operators", "form", "branches", "code"):
        bench.locator(f"[data-tab={tab}]").click()
    assert not failures


def test_it_leaves_nothing_behind_and_follows_python(page: Page, states: dict[str, Any]) -> None:
    bench = opened(page, states, "opened")
    page.evaluate("view => model.receive('view', view)", states["selected"]["view"])
    expect(bench.locator("[data-total=latency_ms] .wb-value")).to_have_text(
        states["selected"]["view"]["totals"]["latency_ms"]["text"]
    )
    page.evaluate("() => { window.leave(); }")
    page.evaluate("view => model.receive('view', view)", states["opened"]["view"])
    expect(bench.locator("[data-total=latency_ms] .wb-value")).to_have_text(
        states["selected"]["view"]["totals"]["latency_ms"]["text"]
    )


def answer(page: Page) -> list[dict[str, Any]]:
    """The commands since the last look, answered."""
    page.evaluate("() => model.receive('done', model.get('command').id)")
    return [message["command"] for message in messages(page)]


def test_a_search_is_started_told_and_its_point_opened(page: Page, searched: dict[str, Any]) -> None:
    bench = opened(page, searched, "ended")
    page.evaluate("() => model.receive('searched', {})")
    bench.locator("[data-tab=search]").click()
    bench.locator("[data-field=search-task]").fill("digits")
    bench.locator("[data-field=search-trials]").fill("12")
    bench.locator("[data-field=search-strategy]").select_option("multishot")
    expect(bench.locator("[data-panel=search]")).to_contain_text("within Latency 0.240 ms")
    bench.locator("[data-field=search-trials]").press("Enter")
    [command] = answer(page)
    assert command["action"] == "search" and command["task"] == "digits" and command["trials"] == 12
    assert command["strategy"] == "multishot" and command["objective"] == "latency_ms" and "workers" not in command

    page.evaluate("value => model.receive('searched', value)", searched["begun"]["searched"])
    expect(bench.locator("[data-action=search]")).to_have_attribute("aria-disabled", "true")
    bench.locator("[data-action=pause]").click()
    assert [command["action"] for command in answer(page)] == ["pause"]
    paused = {"stage": "paused", "text": "paused", "share": 0, "can": ["resume", "cancel"]}
    page.evaluate("value => model.receive('searched', value)", paused)
    expect(bench.locator("[data-action=resume]")).to_be_focused()
    bench.locator("[data-action=cancel]").click()
    assert [command["action"] for command in answer(page)] == ["cancel"]

    front = searched["ended"]["front"]
    point = next(point for point in front["points"] if point["front"])
    spot = bench.locator(f"[data-spot='{point['trial']}']")
    spot.click()
    row = bench.locator(f"tr[data-trial='{point['trial']}']")
    expect(row).to_be_focused()
    page.wait_for_function("() => window.messages.length === 1")  # who stays on it has it estimated
    [preview] = answer(page)
    assert (preview["action"], preview["trial"]) == ("preview", point["trial"])
    spot.click()
    [command] = answer(page)
    assert (command["action"], command["trial"]) == ("open", point["trial"]) and "branch" not in command
    row.focus()
    page.keyboard.press("Shift+Enter")
    assert answer(page)[-1]["branch"] is True
    bench.locator("[data-beside='0']").click()
    assert answer(page)[-1]["action"] == "go"


def test_the_front_says_where_there_is_no_evidence_and_looks_right(
    page: Page, searched: dict[str, Any], pictures: Path
) -> None:
    bench = opened(page, searched, "begun")
    bench.locator("[data-tab=search]").click()
    expect(bench.locator(".wb-gap")).to_have_text("no evidence here")
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        for width in (1400, 390):
            page.set_viewport_size({"width": width, "height": 1000})
            bench = opened(page, searched, "ended")
            bench.locator("[data-tab=search]").click()
            expect(bench.locator("[data-spot]")).to_have_count(len(searched["ended"]["front"]["points"]))
            bench.locator("tr[data-trial]").first.focus()
            page.screenshot(path=pictures / f"search-{scheme}-{width}.png", full_page=True)
            assert page.evaluate("() => document.documentElement.scrollWidth <= window.innerWidth")


def test_what_was_measured_of_blocks_is_a_colour(page: Page, searched: dict[str, Any]) -> None:
    bench = opened(page, searched, "ended")
    bench.locator("[data-field=colour]").select_option("loss")
    shown = bench.locator("[data-block='blocks.2.0'] .wb-bar i").first
    expect(shown).to_have_class(re.compile("wb-heat-9"))
    expect(bench.locator("[data-block=conv_stem] .wb-bar i").first).to_have_class("wb-heat-none")
    expect(bench.locator(".wb-toolbar .wb-legend")).to_contain_text("loss of editing 0 %")
    bench.locator("[data-block='blocks.2.0']").hover()
    expect(bench.locator(".wb-tip")).to_contain_text("loss of editing 40.0 %")


def test_targets_side_by_side_and_a_deployed_file(page: Page, searched: dict[str, Any], pictures: Path) -> None:
    bench = opened(page, searched, "ended")
    bench.locator("[data-tab=targets]").click()
    expect(bench.locator("tr[data-target]")).to_have_count(4)
    expect(bench.locator("tr[data-target]").first).to_contain_text("here")
    page.screenshot(path=pictures / "targets.png", full_page=True)
    bench.locator("[data-beside='ethos-u55-128']").uncheck()
    assert messages(page) == [{"beside": ["ethos-u65-512", "ethos-u85-256", "onnxruntime-cpu"]}]
    expect(bench.locator("[data-beside='ethos-u55-128']")).to_be_focused()
    bench.locator("[data-aim='ethos-u85-256']").click()
    assert answer(page)[0]["target"] == "ethos-u85-256"
    bench.locator("[data-field=against]").select_option("file")
    bench.locator("[data-field=deployed]").fill("deployed.tflite")
    page.keyboard.press("Enter")
    [command] = answer(page)
    assert (command["action"], command["path"]) == ("deployed", "deployed.tflite")
    page.evaluate("() => model.receive('deployed', { name: 'deployed.tflite', word: 'compiled', text: '', code: '' })")
    expect(bench.locator("[data-field=against]")).to_have_value("deployed")


@pytest.mark.parametrize("width", [1400, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_grave(
    page: Page, states: dict[str, Any], searched: dict[str, Any], scheme: str, width: int
) -> None:
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    page.set_viewport_size({"width": width, "height": 1000})
    state = {**searched["ended"], "selection": states["selected"]["selection"], "notes": states["selected"]["notes"]}
    bench = opened(page, {**searched, "whole": state}, "whole")
    bench.locator("tr[data-row]").first.focus()
    found = {}
    for tab in ("whatif", "operators", "form", "branches", "targets", "search", "code"):
        bench.locator(f"[data-tab={tab}]").click()
        found[tab] = grave(page, ".workbench-bench")
    assert not any(found.values()), found
