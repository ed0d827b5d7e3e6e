"""JupyterLab itself, and axe: when this fails, the other browser tests mean nothing."""

import nbformat
from accessible import grave
from lab import Lab
from playwright.sync_api import Page, expect


def test_a_notebook_runs_in_the_browser(lab: Lab, page: Page) -> None:
    notebook = nbformat.v4.new_notebook(metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}})
    notebook.cells = [nbformat.v4.new_code_cell("print(6 * 7)")]
    nbformat.write(notebook, lab.root / "plain.ipynb")
    panel = lab.open(page, "plain.ipynb")
    lab.run_all(page)
    expect(panel.locator(".jp-OutputArea-output")).to_have_text("42\n")


def test_axe_finds_what_is_wrong(page: Page) -> None:
    page.set_content("<main><button></button><p style='color:#ccc;background:#fff'>pale</p></main>")
    assert {finding.partition(":")[0] for finding in grave(page, "main")} == {"button-name", "color-contrast"}
