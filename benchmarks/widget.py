"""How long the bench takes to answer in a browser, from the event to the painted frame, in a real JupyterLab.

    make bench-widget

ghost       pointing at a row whose network was estimated ahead: no message leaves the browser
select      a click on a block -> the first priced choices of that block
apply       Enter on a row nobody took before -> totals, tracks and history of the new network
undo        -> those of the old one
table       opened -> every choice of every block priced; and until the best are estimated whole
A frame lasts 16.7 ms, which a painted answer is at least. Median / 95th percentile.
"""

import argparse
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import chromium
import nbformat
from lab import serve
from playwright.sync_api import Locator, Page, sync_playwright
from provenance import provenance

from workbench.files import write_atomic

HERE = Path(__file__).parent
MODELS = ("mobilenetv2_100", "efficientnet_b0", "densenet121", "mobilevit_s")
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking")
CODE = """
import workbench as wb
session = wb.open({model!r}, target={target!r})
session.estimate
bench = session.bench()
bench
"""
# `until` is asked once a frame; what it found is on the screen when the task after that frame runs.
CLOCK = """
window.clock = (root, act, until, limit = 120000) => new Promise((resolve, reject) => {
  const started = performance.now();
  const painted = () => requestAnimationFrame(() => {
    const channel = new MessageChannel();
    channel.port1.onmessage = () => resolve(performance.now() - started);
    channel.port2.postMessage(0);
  });
  const look = () => {
    if (until(root)) painted();
    else if (performance.now() - started > limit) reject(new Error("no answer"));
    else requestAnimationFrame(look);
  };
  act(root);
  look();
});
"""
GHOST = """(root, i) => clock(root,
  (r) => r.querySelectorAll('tr[data-row]')[i].dispatchEvent(new PointerEvent('pointerenter')),
  (r) => r.querySelector('[data-preview=latency_ms]'))"""
LEAVE = "(root, i) => root.querySelectorAll('tr[data-row]')[i].dispatchEvent(new PointerEvent('pointerleave'))"
SELECT = """(root, i) => { const block = root.querySelectorAll('[data-block]')[i];
  return clock(root, () => block.click(),
    (r) => r.querySelector('.wb-caption b').textContent.endsWith(` ${block.dataset.block}`)
      && (r.querySelector('tr[data-row]')
        || /No step/.test(r.querySelector('.wb-caption .wb-muted').textContent))); }"""
APPLY = """(root, i) => { const before = root.querySelector('[data-status]').textContent;
  return clock(root, (r) => r.querySelectorAll('[data-take=apply]')[i].click(),
    (r) => r.querySelector('[data-status]').textContent !== before
      && r.querySelector('[data-action=undo]').ariaDisabled === 'false'); }"""
UNDO = """(root) => { const before = root.querySelector('[data-status]').textContent;
  return clock(root, (r) => r.querySelector('[data-action=undo]').click(),
    (r) => r.querySelector('[data-status]').textContent !== before); }"""
PRICED = """(root) => clock(root, () => {},
  (r) => / steps apply|No step/.test(r.querySelector('.wb-caption .wb-muted').textContent))"""
WHOLE = """(root) => clock(root, () => {},
  (r) => r.querySelector('tr[data-row]') && !r.querySelector('.wb-spinner'), 400000)"""


def spread(taken: list[float]) -> str:
    """Median / 95th percentile, in ms."""
    ordered = sorted(taken)
    return f"{statistics.median(ordered):.0f} / {ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]:.0f}"


def row(name: str, cells: Sequence[str]) -> str:
    return f"{name:20}" + "".join(f"{cell:>14}" for cell in cells[:-1]) + f"   {cells[-1]}"


def measured(page: Page, bench: Locator, repeats: int) -> list[str]:
    """One cell for each of the things measured."""
    page.evaluate(f"() => {{ {CLOCK} }}")
    priced = bench.evaluate(PRICED)
    whole = priced + bench.evaluate(WHOLE)
    rows, blocks = bench.locator("tr[data-row]").count(), bench.locator("[data-block]").count()
    ghosts = []
    for i in range(min(rows, repeats)):
        ghosts.append(bench.evaluate(GHOST, i))
        bench.evaluate(LEAVE, i)
    applied, undone = [], []
    for i in range(min(rows, repeats)):
        applied.append(bench.evaluate(APPLY, i))
        undone.append(bench.evaluate(UNDO))
        bench.evaluate(PRICED)  # the table is that of the opened network again
    selected = [bench.evaluate(SELECT, i) for i in range(1, min(blocks - 1, repeats + 1))]
    return [*map(spread, (ghosts, selected, applied, undone)), f"{priced / 1e3:.1f} s, {whole / 1e3:.1f} s"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="*", default=MODELS)
    parser.add_argument("--target", default="ethos-u65-512")
    parser.add_argument("--repeats", type=int, default=15)
    options = parser.parse_args()
    path = chromium.find()
    if path is None:
        sys.exit(chromium.MISSING)
    lines = [
        f"{'ms, median / 95th':20}{'ghost':>12}{'select':>14}{'apply':>14}{'undo':>14}   table priced, estimated whole"
    ]
    with TemporaryDirectory() as root, TemporaryDirectory() as home, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        with serve(Path(root), Path(home)) as lab:
            for model in options.models:
                notebook = nbformat.v4.new_notebook(
                    metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}}
                )
                notebook.cells = [nbformat.v4.new_code_cell(CODE.format(model=model, target=options.target))]
                nbformat.write(notebook, lab.root / f"{model}.ipynb")
                page = browser.new_page(viewport={"width": 1500, "height": 1200})
                panel = lab.open(page, f"{model}.ipynb")
                lab.run_all(page, seconds=600)
                bench = panel.locator(".workbench-bench")
                bench.wait_for(timeout=60_000)
                lines.append(row(model, measured(page, bench, options.repeats)))
                print(lines[-1], flush=True)
                page.close()
        browser.close()
    text = f"make bench-widget\n{provenance('anywidget', 'jupyterlab')}, {options.target}\n" + "\n".join(lines) + "\n"
    write_atomic(HERE / "results" / "widget.txt", text.encode())
    print(text)


if __name__ == "__main__":
    main()
