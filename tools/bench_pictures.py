"""Draw README's pictures of the bench, light and dark, after a change of how it looks.

PYTHONPATH=tools:tests/browser python tools/bench_pictures.py
"""

from io import BytesIO
from pathlib import Path

import chromium
from PIL import Image
from playwright.sync_api import sync_playwright
from stub import files_of, opened, state_of

import workbench as wb
from workbench.widgets import Bench

FOLDER = Path(__file__).parents[1] / "docs"
COLOURS = 256  # enough for flat surfaces, half of the bytes


def main() -> None:
    bench = Bench(wb.open("mobilenetv2_100", target="ethos-u85-1024"))
    bench.selection = ["blocks.1.0", "blocks.1.1"]
    bench.looked = True
    bench.wait()
    bench.command = {"id": 1, "action": "budget", "metric": "latency_ms", "value": 2.0}
    states = {"selected": state_of(bench), "files": files_of(bench)}
    FOLDER.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium.find(), args=["--no-sandbox", "--disable-gpu"])
        for scheme in ("light", "dark"):
            page = browser.new_page(
                viewport={"width": 1240, "height": 900}, color_scheme=scheme, device_scale_factor=1.5
            )
            drawn = opened(page, states, "selected")
            drawn.locator("tr[data-row]", has_text="fuse").filter(has_not_text="narrow").hover()
            picture = Image.open(BytesIO(drawn.screenshot())).convert("RGB")
            picture.quantize(COLOURS).save(FOLDER / f"bench-{scheme}.png", optimize=True)
        browser.close()


if __name__ == "__main__":
    main()
