"""No product of an int8 file is lost in 16 bits, on whatever processor: by arithmetic, and in the runtime."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from onnx import numpy_helper
from torch import nn

from workbench.estimators.random_networks import sample
from workbench.graph.trace import trace
from workbench.hardware.onnx_file import write_onnx
from workbench.hardware.onnx_timing import open_session
from workbench.hardware.onnx_weights import quantise_weight

ROOT = Path(__file__).parents[2]
LARGEST_INPUT = 255


def sums_of_two(weight: np.ndarray) -> tuple[int, int]:
    """The extreme sums of VPMADDUBSW over [out, in, *kernel] and inputs in [0, 255], pair by pair."""
    low = high = 0
    for channel in weight.astype(int):
        row = [int(v) for position in channel.reshape(len(channel), -1).T for v in position] + [0]
        for first, second in zip(row[::2], row[1::2], strict=False):
            high = max(high, LARGEST_INPUT * (max(first, 0) + max(second, 0)))
            low = min(low, LARGEST_INPUT * (min(first, 0) + min(second, 0)))
    return low, high


@settings(max_examples=60, deadline=None)
@given(
    arrays(np.float64, st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(1, 2), st.integers(1, 3)),
           elements=st.floats(-10, 10, width=32))
)  # fmt: skip
def test_no_sum_of_two_products_leaves_16_bits(data):
    quantised, scale = quantise_weight(data, 0)
    low, high = sums_of_two(quantised)
    assert low >= -(2**15) and high < 2**15
    error = np.abs(quantised * scale.reshape(-1, 1, 1, 1) - data)
    assert (error <= 0.501 * scale.reshape(-1, 1, 1, 1)).all()


def test_depthwise_weights_keep_the_whole_range():
    data = np.array([[[[1.0, 1.0]]], [[[0.5, -0.25]]]])
    assert quantise_weight(data, 0, depthwise=True)[0].ravel().tolist() == [127, 127, 127, -64]
    assert quantise_weight(data, 0)[0].ravel().tolist() == [64, 64, 127, -64]


@pytest.mark.parametrize("seed", [2, 4, 7])
def test_whole_files_stay_within_16_bits(seed):
    graph = onnx.load_from_string(write_onnx(sample(seed), None, "int8")).graph
    constants = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    checked = 0
    for node in graph.node:
        name = f"{node.input[1]}.q" if len(node.input) > 1 else ""
        if node.op_type not in ("Conv", "Gemm", "MatMul") or name not in constants:
            continue
        weight = constants[name].T if node.op_type == "MatMul" else constants[name]
        groups = next((a.i for a in node.attribute if a.name == "group"), 1)
        if weight.shape[:2] != (groups, 1):
            low, high = sums_of_two(weight)
            assert low >= -(2**15) and high < 2**15, name
            checked += 1
    assert checked


LAYERS = {
    "dense": lambda: nn.Conv2d(8, 16, 3, padding=1),
    "odd": lambda: nn.Conv2d(3, 16, 3, padding=1),
    "pointwise": lambda: nn.Conv2d(32, 16, 1),
    "grouped": lambda: nn.Conv2d(16, 32, 3, padding=1, groups=4),
    "multiplied": lambda: nn.Conv2d(8, 16, 3, padding=1, groups=8),
    "depthwise": lambda: nn.Conv2d(16, 16, 3, padding=1, groups=16),
    "linear": lambda: nn.Linear(64, 16),
}


@pytest.mark.parametrize("name", LAYERS)
def test_the_largest_inputs_give_the_exact_sums(name):
    """On a processor without VNNI, saturated sums would be off by tens of per cent."""
    torch.manual_seed(0)
    layer = LAYERS[name]().eval()
    with torch.no_grad():
        layer.weight.copy_(layer.weight.abs() + 0.2)
        layer.bias.zero_()
    # behind the layer stands an operator that reads int8: a layer whose sums leave as floats is not fused
    shape = (1, 8, 8) if name == "linear" else (layer.in_channels, 8, 8)
    model = nn.Sequential(nn.Flatten() if name == "linear" else nn.Identity(), layer, nn.ReLU(), nn.Flatten(0)).eval()
    state = model.state_dict()
    graph = trace(model, shape)
    x = torch.full((1, *shape), 4.0)
    with torch.no_grad():
        want = model(x).numpy()
    ranges = {op.name: (0.0, 4.0 if op.kind == "input" else float(want.max())) for op in graph.ops}
    session = open_session(
        write_onnx(graph, lambda key, size: state[key].reshape(size).numpy() if key in state else None, "int8", ranges)
    )
    (got,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    np.testing.assert_allclose(got, want, atol=0.02 * want.max())


def test_one_place_opens_sessions_of_the_runtime():
    places = {
        str(file.relative_to(ROOT))
        for folder in ("workbench", "tests", "benchmarks", "tools", "notebooks")
        for file in (ROOT / folder).rglob("*")
        if file.suffix in (".py", ".ipynb") and file != Path(__file__)
        if any(word in file.read_text(encoding="utf-8") for word in ("InferenceSession(", "SessionOptions("))
    }
    assert places == {"workbench/hardware/onnx_timing.py"}
