"""TRANSPOSEs as permutations that are done at once, against numpy's."""

from itertools import permutations as orders

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.estimators.npu.operators.transposes import permutations, split_transposes
from workbench.hardware.lowering import HwOp


@st.composite
def transposes(draw):
    rank = draw(st.integers(1, 6))
    shape = tuple(draw(st.lists(st.integers(1, 4), min_size=rank, max_size=rank)))
    return shape, tuple(draw(st.permutations(range(rank))))


def applied(values, steps):
    for shape, order in steps:
        values = values.reshape(shape).transpose(order)
    return values.reshape(-1)


@given(transposes(), st.sampled_from(["u55", "u65", "u85"]))
def test_permutations_give_the_order_asked_for(transpose, family):
    shape, order = transpose
    values = np.arange(np.prod(shape)).reshape(shape)
    permuted = applied(values, permutations(shape, order, family))
    assert np.array_equal(permuted, values.transpose(order).reshape(-1))


@pytest.mark.parametrize("order", list(orders(range(3))))
def test_the_u85_transposes_any_map_at_once_the_u55_does_not(order):
    steps = permutations((2, 3, 5), order, "u85")
    assert len(steps) == (0 if order == (0, 1, 2) else 1)
    assert len(permutations((2, 3, 5), order, "u55")) == {(0, 1, 2): 0, (1, 2, 0): 2, (2, 0, 1): 2}.get(order, 1)


@given(transposes(), st.data())
def test_one_after_the_other_is_one(transpose, data):
    shape, first = transpose
    second = tuple(data.draw(st.permutations(range(len(shape)))))
    middle = tuple(shape[a] for a in first)
    values = np.arange(np.prod(shape)).reshape(shape)
    ops = [
        HwOp("x", "INPUT", (), shape, ()),
        HwOp("a", "TRANSPOSE", ("x",), middle, ("a",), extra=first),
        HwOp("b", "TRANSPOSE", ("a",), tuple(middle[a] for a in second), ("b",), extra=second),
        HwOp("end", "RELU", ("b",), tuple(middle[a] for a in second), ("end",)),
    ]
    split = split_transposes(ops, "u85")
    arrays = {"x": values}
    for op in split[1:-1]:
        source = arrays[op.inputs[0]].reshape(next(o.shape for o in split if o.name == op.inputs[0]))
        arrays[op.name] = (source if op.kind == "RESHAPE" else source.transpose(op.extra)).reshape(op.shape)
    assert "a" not in arrays
    assert np.array_equal(arrays["b"].reshape(-1), values.transpose(first).transpose(second).reshape(-1))
