"""What is kept between estimates changes no figure: they do not depend on what was asked before, nor by whom."""

import json
import pickle
import subprocess
import sys

import pytest

from workbench.errors import WorkbenchError
from workbench.estimators.cycle_model import modelled
from workbench.estimators.edit_window import delta_cycles
from workbench.estimators.random_networks import sample
from workbench.graph import Op, rewrite
from workbench.hardware import EthosU
from workbench.transforms import DepthMultiplier, EvenChannels

TARGETS = [
    EthosU("ethos-u55-128"), EthosU("ethos-u55-128", strategy="size"), EthosU("ethos-u65-512"),
    EthosU("ethos-u65-512", arena_bytes=131072), EthosU("ethos-u85-1024"),
]  # fmt: skip
SEEDS = range(40, 44)


def figures(seed, target):
    """Cycles and memory of a random network and of edits of it, and what the edits change."""
    before = sample(seed)
    numbers = []
    for step in (DepthMultiplier(0.5, before.blocks[len(before.blocks) // 2].name), EvenChannels()):
        try:
            after = rewrite(before, step.plan(before, target))
        except WorkbenchError:
            continue
        change = delta_cycles(before, after, target)
        ours = modelled(after, target)
        numbers += [change, sum(ours.cycles), ours.sram_bytes, ours.dram_bytes]
    ours = modelled(before, target)
    return [*numbers, sum(ours.cycles), ours.sram_bytes, ours.dram_bytes]


def test_the_order_of_questions_does_not_matter():
    questions = [(seed, i) for seed in SEEDS for i in range(len(TARGETS))]
    program = (
        "import json, sys\n"
        "from tests.estimators.test_repeatability import TARGETS, figures\n"
        "print(json.dumps([figures(seed, TARGETS[i]) for seed, i in json.load(sys.stdin)]))"
    )
    process = subprocess.run(
        [sys.executable, "-c", program], input=json.dumps(questions[::-1]), capture_output=True, text=True, check=True
    )
    assert [figures(seed, TARGETS[i]) for seed, i in questions] == json.loads(process.stdout)[::-1]


def test_equal_graphs_made_apart_are_equal_keys():
    first, other = sample(41), sample(41)
    assert first.ops is not other.ops
    assert first == other and hash(first) == hash(other) and {*first.ops} == {*other.ops}


@pytest.mark.parametrize("change", [{"name": "x"}, {"kind": "relu6"}, {"shape": (1, 2)}, {"attrs": (("stride", 2),)}])
def test_an_operator_changed_is_another_key(change):
    op = Op("a", "relu", ("b",), (1, 8, 4, 4))
    hash(op)
    changed = Op(**{"name": "a", "kind": "relu", "inputs": ("b",), "shape": (1, 8, 4, 4), **change})
    assert op != changed and len({op, changed}) == 2


def test_a_hash_does_not_travel():
    """Text hashes differently in every process, so a graph sent to one must be hashed anew there."""
    graph = sample(42)
    hash(graph)
    program = (
        "import pickle, sys\n"
        "from workbench.estimators.random_networks import sample\n"
        "sent = pickle.load(sys.stdin.buffer)\n"
        "own = sample(42)\n"
        "assert hash(sent) == hash(own) and len({*sent.ops, *own.ops}) == len(own.ops)"
    )
    subprocess.run([sys.executable, "-c", program], input=pickle.dumps(graph), check=True)
