"""The bench where things go wrong: by keyboard alone, after the kernel was restarted, in a notebook opened again."""

import nbformat
import pytest
from lab import KERNEL_IDLE, Lab
from playwright.sync_api import Locator, Page, expect

CODE = """
import workbench as wb
bench = wb.open("mobilenetv2_050", target="ethos-u85-1024", input_size=(3, 96, 96)).bench()
bench
"""


@pytest.fixture
def bench(lab: Lab, page: Page) -> Locator:
    notebook = nbformat.v4.new_notebook(metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}})
    notebook.cells = [nbformat.v4.new_code_cell(CODE)]
    nbformat.write(notebook, lab.root / "bench.ipynb")
    panel = lab.open(page, "bench.ipynb")
    lab.run_all(page)
    bench = panel.locator(".workbench-bench")
    expect(bench).to_be_visible(timeout=30_000)
    return bench


def latency(bench: Locator) -> str:
    return bench.locator("[data-total=latency_ms] .wb-value").inner_text()


def test_enter_submits_and_the_focus_stays(bench: Locator, page: Page) -> None:
    before = latency(bench)
    bench.locator("[data-tab=form]").click()
    bench.locator("[data-field=transform]").select_option("DepthMultiplier")
    ratio = bench.locator("[data-option=ratio]")
    ratio.fill("0.5")
    ratio.press("Enter")
    expect(bench.locator("[data-status]")).to_contain_text(
        "DepthMultiplier(ratio=0.5, blocks='*', importance='magnitude') gave"
    )
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
