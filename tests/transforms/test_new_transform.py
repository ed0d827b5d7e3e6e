"""A new transform is its file and one line: everything that knows transforms by name finds it."""

import shutil
import subprocess
import sys
from pathlib import Path

import workbench

PACKAGE = Path(workbench.__file__).parent
FILE = '''
from dataclasses import dataclass

from .base import Blocks, Transform
from .dense_depthwise import DenseDepthwise

__all__ = ["Thicken"]


@dataclass(frozen=True)
class Thicken(Transform):
    """Make depthwise convolutions dense, like DenseDepthwise.

    blocks: selector.
    """

    blocks: Blocks = "*"

    @classmethod
    def block_options(cls, graph, block):
        return {"thicken": cls(block.name)}

    @classmethod
    def network_options(cls, graph):
        return (cls(),)

    def plan(self, graph, target):
        return DenseDepthwise(self.blocks).plan(graph, target)
'''
SCRIPT = """
from collections import Counter

import timm
import torch

import workbench as wb
from surgery import EXAMPLES
from workbench.recipe import Recipe
from workbench.space import block_options, catalogue, network_options
from workbench.transforms import TRANSFORMS, Thicken

assert wb.Thicken is Thicken is TRANSFORMS["Thicken"]
assert "Thicken" in wb.__all__
recipe = Recipe("thick", (Thicken("blocks.1.0"),))
assert Recipe.from_yaml(recipe.to_yaml()) == recipe

session = wb.open("mobilenetv2_035", target="ethos-u65-512", input_size=(3, 32, 32))
thick = session.apply(recipe)
assert thick.graph.digest == session.apply(wb.DenseDepthwise("blocks.1.0")).graph.digest
image = torch.rand(1, 3, 32, 32)
torch.testing.assert_close(thick.build()(image), session.build()(image), rtol=1e-3, atol=1e-4)

assert "thicken" in [o.choice.label for o in block_options(session.graph, session.target)["blocks.1.0"]]
assert (Thicken(),) in [o.transforms for o in network_options(session.graph, session.target)]
slot = next(s for s in catalogue(session.graph, session.target).slots if s.block == "blocks.1.0")
assert (Thicken("blocks.1.0"),) in [choice.transforms for choice in slot.choices]
assert "Thicken" in [form["name"] for form in session.bench().transforms]
assert Thicken() in EXAMPLES
"""


def test_one_line_is_enough(tmp_path):
    shutil.copytree(PACKAGE, tmp_path / "workbench", ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("surgery.py", "provenance.py"):
        shutil.copy(PACKAGE.parent / "benchmarks" / file, tmp_path)
    (tmp_path / "workbench" / "transforms" / "thicken.py").write_text(FILE)
    with (tmp_path / "workbench" / "transforms" / "every.py").open("a") as listed:
        listed.write("from .thicken import Thicken as Thicken\n")
    code = subprocess.run([sys.executable, "-c", SCRIPT], cwd=tmp_path, capture_output=True, text=True)
    assert code.returncode == 0, code.stderr
