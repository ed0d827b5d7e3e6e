"""The shared page in a real Chromium: explored offline, on a desk, on a phone and on paper."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from accessible import grave
from playwright.sync_api import Page, expect

import workbench as wb

HOSTILE = "<script>document.title = 'run'</script><img src=x onerror=\"document.title='run'\">"


@pytest.fixture(scope="module")
def session() -> wb.Session:
    opened = wb.open("mobilenetv2_050", target="ethos-u65-512", input_size=(3, 64, 64))
    return opened.annotate("blocks.1.0", HOSTILE).apply(wb.FuseIBN(blocks="blocks.1.*"))


@pytest.fixture
def shared(session: wb.Session, page: Page, tmp_path: Path) -> Iterator[Page]:
    """The page, opened; no request but its own, and no complaint, was made when the test is over."""
    path = session.share(tmp_path / "page.html", latency_ms=0.2, sram_kib=512)
    requests: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(path.as_uri())
    yield page
    assert requests == [path.as_uri()] and not complaints
    assert page.title() != "run"


def test_it_is_explored(shared: Page, session: wb.Session, pictures: Path) -> None:
    block = session.graph.blocks[2]
    shared.locator("[data-figure=time] [data-block='2']").click(position={"x": 8, "y": 120})
    opened = shared.locator("details[open]")
    expect(opened).to_have_count(1)
    expect(opened.locator("summary")).to_contain_text(block.name)
    expect(opened.locator("summary")).to_be_focused()
    expect(opened.locator("tbody tr").first).to_be_visible()
    shared.get_by_role("button", name="what limits it").click()
    expect(shared.locator("[data-legend=bound]")).to_be_visible()
    expect(shared.locator("[data-legend=share]")).to_be_hidden()
    alive, steps = shared.locator("[data-steps]"), len(session.estimate.memory_timeline)
    expect(alive).to_contain_text(", the peak")
    slider = shared.get_by_role("slider")
    slider.focus()
    shared.keyboard.press("End")
    expect(alive).to_contain_text(f"Step {steps} of {steps}")
    shared.locator("[data-figure=memory] > svg").last.hover(position={"x": 3, "y": 90})
    expect(alive).to_contain_text(f"Step 1 of {steps}")
    shared.get_by_role("button", name="To the peak").click()
    expect(alive).to_contain_text(", the peak")
    shared.get_by_role("button", name="MACs").click()
    rows = shared.locator("table[data-sort] tbody tr td:nth-child(2)")
    assert rows.first.inner_text() == session.blocks.sort_values("macs").name.iloc[-1]
    shared.screenshot(path=pictures / "page.png", full_page=True)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_read_on_a_phone(shared: Page, pictures: Path, scheme: str) -> None:
    shared.set_viewport_size({"width": 390, "height": 844})
    shared.emulate_media(color_scheme=scheme)
    assert shared.evaluate("document.documentElement.scrollWidth") <= 390
    shared.get_by_role("button", name="Open the slowest block").click()
    expect(shared.locator("details[open] tbody tr").first).to_be_visible()
    assert shared.evaluate("document.documentElement.scrollWidth") <= 390
    shared.screenshot(path=pictures / f"page-phone-{scheme}.png", full_page=True)


@pytest.mark.parametrize("width", [1400, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_grave(shared: Page, scheme: str, width: int) -> None:
    shared.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    shared.set_viewport_size({"width": width, "height": 1000})
    shared.get_by_role("button", name="Open the slowest block").click()
    found = grave(shared, "body")
    shared.get_by_role("button", name="what limits it").click()
    assert not (found + grave(shared, "body"))


def test_it_is_printed(shared: Page) -> None:
    shared.emulate_media(media="print")
    expect(shared.get_by_role("slider")).to_be_hidden()
    expect(shared.locator("[data-steps]")).to_be_visible()
    assert len(shared.pdf()) > 10_000
