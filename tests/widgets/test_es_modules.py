"""The modules of the bench: joined they are one that works as they do apart."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from workbench.widgets import bench
from workbench.widgets.es_modules import joined

STATIC = Path(bench.__file__).parent / "static"
MODULES = sorted(STATIC.glob("*.js"))
node = pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed; the browser tests run them, too")


def run(code: str) -> str:
    done = subprocess.run(["node", "--input-type=module"], input=code, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_every_module_is_joined_once_and_after_what_it_imports():
    text = joined(STATIC, "bench.js")
    assert text == joined(STATIC, "bench.js")
    order = re.findall(r"^// ([\w-]+\.js)$", text, re.M)
    assert sorted(order) == [file.name for file in MODULES]
    for file in MODULES:
        for name in re.findall(r'from "\./([\w-]+\.js)"', file.read_text("utf-8")):
            assert order.index(name) < order.index(file.name)
    assert not re.search(r"^(import|export (?!default))", text, re.M)


def test_no_name_stands_in_two_modules():
    names = re.findall(r"^(?:const|let|class|function|async function) (\w+)", joined(STATIC, "bench.js"), re.M)
    assert len(names) == len(set(names))


@pytest.mark.parametrize("file", MODULES, ids=lambda file: file.name)
def test_text_enters_as_text(file):
    for markup in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"):
        assert markup not in file.read_text("utf-8")


@node
def test_joined_they_are_a_module():
    assert (
        run(
            joined(STATIC, "bench.js").replace("export default", "const exported =")
            + "console.log(typeof exported.render)"
        )
        == "function"
    )


@node
def test_columns_fill_the_axis_and_small_blocks_can_be_hit():
    view = "{ blocks: [{ steps: 1, latency_ms: 5 }, { steps: 400, latency_ms: 1 }, { steps: 0, latency_ms: 0 }],"
    view += " steps: [[0,,,,5], ...Array.from({ length: 400 }, () => [1,,,,1 / 400])] }"
    code = f'import {{ places, placeAt, niceCeiling }} from "{(STATIC / "axis.js").as_uri()}"; const view = {view};'
    code += """
    for (const mode of ["operators", "time"]) {
      const { blocks, steps } = places(view, mode);
      const last = blocks[blocks.length - 1];
      const least = Math.min(...blocks.map((block) => block.width));
      const whole = Math.abs(last.left + last.width - 1) < 1e-9;
      console.log(whole, least > 0.01, placeAt(steps, 1e-6), placeAt(steps, 0.97) > 100);
    }
    console.log(niceCeiling(0.43), niceCeiling(1470));"""
    assert run(code).splitlines() == ["true true 0 true", "true true 0 true", "0.5 1500"]
