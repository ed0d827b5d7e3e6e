"""The quickstart as a newcomer uses it: run it in JupyterLab, then click in the bench at its end."""

import re
import shutil
from pathlib import Path

from lab import Lab
from playwright.sync_api import Locator, Page, expect

QUICKSTART = Path(__file__).parents[2] / "notebooks" / "01_quickstart.ipynb"
BLOCKS = ("blocks.1.0", "blocks.1.1")


def total(bench: Locator, name: str) -> Locator:
    return bench.locator(f"[data-total={name}] .wb-value")


def milliseconds(bench: Locator) -> float:
    found = re.search(r"[\d.]+", total(bench, "latency_ms").inner_text())
    assert found
    return float(found[0])


def test_the_quickstart_runs_and_its_bench_answers(lab: Lab, page: Page, pictures: Path) -> None:
    failures: list[str] = []
    page.on("pageerror", lambda error: failures.append(str(error)))
    shutil.copy(QUICKSTART, lab.root)
    panel = lab.open(page, QUICKSTART.name)
    lab.run_all(page, seconds=300)

    bench = panel.locator(".workbench-bench").last
    expect(bench).to_be_visible(timeout=30_000)
    bench.scroll_into_view_if_needed()
    bench.screenshot(path=pictures / "bench-opened.png")
    before = total(bench, "latency_ms").inner_text()
    started_at = milliseconds(bench)
    first, second = (bench.locator(f"[data-block='{name}']") for name in BLOCKS)
    first.click()
    second.click(modifiers=["Control"])
    expect(first).to_have_attribute("aria-selected", "true")
    expect(second).to_have_attribute("aria-selected", "true")

    bench.locator("[data-tab=form]").click()
    bench.locator("[data-field=transform]").select_option("FuseIBN")
    bench.screenshot(path=pictures / "bench-selected.png")
    bench.locator("[data-action=apply]").click()
    expect(total(bench, "latency_ms")).not_to_have_text(before)
    assert milliseconds(bench) < started_at, "fusing early blocks saves time on a wide array"
    expect(bench.locator("[data-status]")).to_contain_text("FuseIBN")
    fused = total(bench, "latency_ms").inner_text()
    bench.screenshot(path=pictures / "bench-fused.png")

    bench.locator("[data-action=undo]").click()
    expect(total(bench, "latency_ms")).to_have_text(before)
    bench.locator("[data-action=redo]").click()
    expect(total(bench, "latency_ms")).to_have_text(fused)
    bench.locator("[data-action=undo]").click()
    expect(total(bench, "latency_ms")).to_have_text(before)

    # What cannot be done is said, and nothing changes.
    bench.locator("[data-option=blocks]").fill("blocks.99")
    bench.locator("[data-action=apply]").click()
    expect(bench.locator("[data-status]")).to_contain_text("blocks.99")
    expect(total(bench, "latency_ms")).to_have_text(before)
    bench.screenshot(path=pictures / "bench-refused.png")
    assert not failures


def test_the_shared_page_opens_without_a_network(lab: Lab, page: Page, pictures: Path) -> None:
    """Runs after the quickstart, which wrote the page."""
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto((lab.root / "quickstart-output" / "mobilenetv2.html").as_uri())
    expect(page.locator("body")).to_contain_text("mobilenetv2_100")
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    page.screenshot(path=pictures / "page.png", full_page=True)
