"""The bench where things go wrong: by keyboard alone, after the kernel was restarted, in a notebook opened again."""

from pathlib import Path

import nbformat
import pytest
from lab import KERNEL_IDLE, Lab
from playwright.sync_api import Locator, Page, expect

from tests.colours import colours

# Networks are priced, planned and compiled behind the clicks; a loaded machine takes its time.
PATIENT = 240_000
CODE = """
import workbench as wb
bench = wb.open("mobilenetv2_050", target="ethos-u85-1024", input_size=(3, 96, 96)).bench()
bench
"""


@pytest.fixture
def bench(lab: Lab, page: Page) -> Locator:
    panel = opened(lab, page, "bench.ipynb", CODE)
    bench = panel.locator(".workbench-bench")
    expect(bench).to_be_visible(timeout=30_000)
    return bench


def opened(lab: Lab, page: Page, name: str, *cells: str) -> Locator:
    """A notebook of these cells, run; its element."""
    notebook = nbformat.v4.new_notebook(metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}})
    notebook.cells = [nbformat.v4.new_code_cell(cell) for cell in cells]
    nbformat.write(notebook, lab.root / name)
    panel = lab.open(page, name)
    lab.run_all(page)
    return panel


def latency(bench: Locator) -> str:
    return bench.locator("[data-total=latency_ms] .wb-value").inner_text()


def test_enter_submits_and_the_focus_stays(bench: Locator, page: Page) -> None:
    before = latency(bench)
    bench.locator("[data-tab=form]").click()
    bench.locator("[data-field=transform]").select_option("DepthMultiplier")
    ratio = bench.locator("[data-option=ratio]")
    ratio.fill("0.5")
    ratio.press("Enter")
    expect(bench.locator("[data-status]")).to_contain_text("DepthMultiplier(ratio=0.5) gave")
    assert latency(bench) != before
    undo = bench.locator("[data-action=undo]")
    undo.focus()
    page.keyboard.press("Enter")
    expect(bench.locator("[data-status]")).to_contain_text("Took back")
    expect(undo).to_be_focused()
    expect(undo).to_have_attribute("aria-disabled", "true")


def test_a_restarted_kernel_leaves_it_readable_and_says_how_to_go_on(bench: Locator, lab: Lab, page: Page) -> None:
    shown = latency(bench)
    page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
    status = bench.locator("[data-status]")
    expect(status).to_contain_text("run the cell again", timeout=30_000)
    bench.locator("[data-tab=form]").click()
    for action in ("apply", "preview", "undo", "redo"):
        expect(bench.locator(f"[data-action={action}]")).to_have_attribute("aria-disabled", "true")
    bench.locator("[data-action=apply]").click(force=True)
    expect(status).to_contain_text("run the cell again")
    assert latency(bench) == shown
    page.wait_for_function(KERNEL_IDLE, timeout=60_000)
    lab.run_all(page)
    again = page.locator(".jp-NotebookPanel:not(.lm-mod-hidden) .workbench-bench")
    expect(again).to_be_visible(timeout=30_000)
    again.locator("[data-tab=form]").click()
    again.locator("[data-field=transform]").select_option("DepthMultiplier")
    again.locator("[data-action=apply]").click()
    expect(again.locator("[data-status]")).to_contain_text("DepthMultiplier() gave")


def test_a_notebook_opened_again_shows_the_picture(bench: Locator, lab: Lab, page: Page) -> None:
    panel = page.locator(".jp-NotebookPanel:not(.lm-mod-hidden)")
    picture = panel.locator(".wb-report")
    expect(picture).to_be_hidden()  # the living bench stands in its place
    page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
    page.wait_for_function("() => !window.jupyterapp.shell.currentWidget.context.model.dirty", timeout=30_000)
    stored = nbformat.read(lab.root / "bench.ipynb", as_version=4)
    assert "widget-state" not in str(stored.metadata)
    page.evaluate("() => window.jupyterapp.serviceManager.sessions.shutdownAll()")  # another day
    panel = lab.open(page, "bench.ipynb")
    expect(panel.locator(".wb-report")).to_be_visible(timeout=30_000)
    expect(panel.locator(".wb-report")).to_contain_text("mobilenetv2_050")


def test_point_see_apply_branch_budget_note_and_compile_in_two_views(lab: Lab, page: Page, pictures: Path) -> None:
    failures: list[str] = []
    page.on("pageerror", lambda error: failures.append(str(error)))
    panel = opened(lab, page, "gestures.ipynb", CODE, "bench", "bench.session.history")
    bench, second = panel.locator(".workbench-bench").nth(0), panel.locator(".workbench-bench").nth(1)
    status, before = bench.locator("[data-status]"), latency(bench)
    expect(bench.locator("[data-action=compile]")).to_contain_text("compiled", timeout=PATIENT)
    expect(bench.locator(".wb-opening")).to_contain_text("take half of it", timeout=PATIENT)

    row = bench.locator("tr[data-row]").first
    row.hover()
    expect(bench.locator("[data-preview=latency_ms]")).to_be_visible(timeout=PATIENT)
    would_be = bench.locator("[data-preview=latency_ms] b").inner_text()
    row.focus()
    page.keyboard.press("Shift+Enter")
    expect(status).to_contain_text("waits among the branches")
    assert latency(bench) == before
    row.focus()
    page.keyboard.press("Enter")
    expect(status).to_contain_text("gave")
    expect(bench.locator("[data-total=latency_ms] .wb-value")).to_have_text(would_be)
    expect(second.locator("[data-total=latency_ms] .wb-value")).to_have_text(would_be)
    assert bench.evaluate("node => node.contains(document.activeElement)"), "the focus is lost"
    page.keyboard.press("Control+z")
    expect(status).to_contain_text("Took back")
    expect(bench.locator("[data-total=latency_ms] .wb-value")).to_have_text(before)

    bench.locator("[data-budget=latency_ms]").click()
    bench.locator("[data-field=budget-latency_ms]").fill(str(0.93 * float(before.split()[0])))
    page.keyboard.press("Enter")
    expect(status).to_contain_text("it is missed")
    bench.locator("[data-action=plan]").click()
    bench.locator("[data-action=adopt]").click(timeout=PATIENT)
    expect(status).to_contain_text("meet(latency_ms=")
    expect(bench.locator("[data-budget=latency_ms]")).to_contain_text("within")

    bench.locator("[data-block='blocks.2.0']").click()
    bench.locator("[data-field=note]").fill("<b>wide</b> arrays idle here")
    page.keyboard.press("Enter")
    expect(second.locator(".wb-notes")).to_contain_text("<b>wide</b> arrays idle here")

    bench.locator("[data-tab=branches]").click()
    branches = bench.locator("[role=treeitem]")
    expect(branches).to_have_count(3)
    bench.locator("[data-compare='1']").click()
    expect(status).to_contain_text("Shown beside")
    branches.first.click()
    expect(status).to_contain_text("Went to the model as it was opened")
    expect(bench.locator("[data-total=latency_ms] .wb-value")).to_have_text(before)
    bench.screenshot(path=pictures / "bench-branches.png")
    page.evaluate("() => window.jupyterapp.commands.execute('apputils:change-theme', { theme: 'JupyterLab Dark' })")
    bench.locator("[data-tab=whatif]").click()
    expect(bench.locator("tr[data-row]").first).to_be_visible(timeout=PATIENT)
    bench.screenshot(path=pictures / "bench-dark.png")
    page.evaluate("() => window.jupyterapp.commands.execute('apputils:change-theme', { theme: 'JupyterLab Light' })")
    assert not failures


def test_a_search_is_started_watched_cancelled_and_its_point_opened(lab: Lab, page: Page, pictures: Path) -> None:
    folder = colours(lab.root / "colours", train=24, val=8, test=8)
    code = f"""
import workbench as wb
bench = wb.open("test_efficientnet", target="ethos-u55-128", task={str(folder)!r}, input_size=(3, 32, 32)).bench()
bench
"""
    bench = opened(lab, page, "search.ipynb", code).locator(".workbench-bench")
    status, told = bench.locator("[data-status]"), bench.locator(".wb-standing")
    bench.locator("[data-tab=search]").click()
    expect(bench.locator("[data-field=search-task]")).to_have_value(str(folder))
    bench.locator("[data-field=search-strategy]").select_option("multishot")
    for name, value in (("trials", 3), ("epochs", 1), ("pictures", 8), ("workers", 1)):
        bench.locator(f"[data-field=search-{name}]").fill(str(value))
    bench.locator("[data-action=search]").click()
    expect(status).to_contain_text("Searching: multishot, 3 trials")
    expect(bench.locator("[data-panel=search]")).to_contain_text("study = session.search(")

    bench.locator("[data-tab=form]").click()  # the bench answers while the search gets under way
    bench.locator("[data-field=transform]").select_option("DepthMultiplier")
    bench.locator("[data-action=apply]").click()
    expect(status).to_contain_text("DepthMultiplier() gave")
    bench.locator("[data-tab=search]").click()
    expect(bench.locator("[data-spot]").first).to_be_visible(timeout=PATIENT)
    bench.locator("[data-action=cancel]").click()
    expect(told).to_contain_text("cancelled", timeout=PATIENT)

    spot = bench.locator("[data-spot]").first
    spot.click()
    expect(bench.locator("[data-preview=latency_ms]")).to_be_visible()
    bench.screenshot(path=pictures / "bench-search.png")
    spot.click()
    expect(status).to_contain_text("with its weights gave")
    expect(bench.locator("[data-total=accuracy]")).to_contain_text("trained")
    bench.locator("[data-tab=branches]").click()
    expect(bench.locator("[role=treeitem]").first).to_contain_text("opened")
    assert bench.locator("[role=treeitem]").count() >= 3
