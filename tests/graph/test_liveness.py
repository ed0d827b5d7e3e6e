"""Live ranges against a brute-force look at every step."""

from workbench.graph.liveness import live_ranges
from workbench.graph.trace import trace

from .networks import Residual


def test_live_set_equals_brute_force():
    graph = trace(Residual(), (3, 32, 32))
    ranges = live_ranges(graph)
    for step in range(len(graph.ops)):
        live = {name for name, (first, last) in ranges.items() if first <= step <= last}
        done = {op.name for op in graph.ops[: step + 1]} | {op.name for op in graph.inputs}
        needed = {name for op in graph.ops[step:] for name in op.inputs} | set(graph.outputs)
        assert live == (done & needed) | {graph.ops[step].name}
