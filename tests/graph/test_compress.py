"""What schemes make of values, against plain sorting, exhaustive search and scikit-learn."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from workbench.errors import InputError, NotApplicable, UnknownName
from workbench.graph import Compress, Plan, SetInput, as_built, check_scheme, cluster, compressed, prune, rewrite
from workbench.graph.json_document import graph_from_json, graph_to_json
from workbench.graph.trace import trace

from .networks import Residual, Tied
from .zoo import traced

GRAPH = trace(Residual(), (3, 32, 32))
LAYER = next(op.name for op in GRAPH.ops if op.module == "expand")

# Small whole numbers, so that there are ties, zeros and channels of nothing but zeros.
weights = arrays.arrays(
    np.float32, arrays.array_shapes(min_dims=2, max_dims=4, max_side=9), elements=st.integers(-20, 20).map(float)
)
amounts = st.floats(0.01, 0.99)
schemes = st.one_of(
    st.builds(prune, amounts, st.sampled_from(["unstructured", "structured"])),
    st.just(prune(0.5, "2:4")),
    st.builds(cluster, st.integers(3, 256)),
)


def normal(shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def int8(weight):
    """Symmetric int8 codes, a scale an output channel."""
    flat = weight.reshape(len(weight), -1).astype(np.float64)
    scale = np.abs(flat).max(axis=1, keepdims=True) / 127
    return np.rint(flat / np.where(scale > 0, scale, 1)).astype(int)


# ---- all ---------------------------------------------------------------------------------------------------------


@given(weights, schemes)
def test_twice_is_once_and_zeros_stay(weight, scheme):
    before = weight.copy()
    once = compressed(weight, scheme)
    assert (once.shape, once.dtype) == (weight.shape, weight.dtype)
    assert np.array_equal(weight, before)
    assert np.array_equal(compressed(once, scheme), once)
    assert not once[weight == 0].any()


@given(weights, schemes.filter(lambda s: ("pattern", "structured") not in s), st.integers(-6, 6))
def test_scaling_an_output_channel_changes_nothing(weight, scheme, exponent):
    """What folding a batch norm in does; structured pruning compares channels with each other."""
    scale = np.ones((len(weight), *[1] * (weight.ndim - 1)), np.float32)
    scale[::2] = -(2.0**exponent)
    assert np.array_equal(compressed(weight * scale, scheme), compressed(weight, scheme) * scale)


@given(st.integers(0, 1000), st.floats(0.01, 100))
def test_whatever_the_scale(seed, factor):
    weight = normal((6, 8, 3, 3), seed).astype(np.float64)
    scaled = weight * np.geomspace(1, factor, 6).reshape(6, 1, 1, 1)
    for scheme in (prune(0.6), prune(0.5, "2:4")):
        assert np.array_equal(compressed(scaled, scheme) == 0, compressed(weight, scheme) == 0)
    assert np.array_equal(int8(compressed(scaled, cluster(9))), int8(compressed(weight, cluster(9))))


@pytest.mark.parametrize("scheme", [prune(0.3), prune(0.3, "structured"), prune(0.5, "2:4")])
def test_pruning_leaves_the_rest_as_it_was(scheme):
    weight = normal((16, 12, 3, 3))
    pruned = compressed(weight, scheme)
    assert np.array_equal(pruned[pruned != 0], weight[pruned != 0])


# ---- pruning -----------------------------------------------------------------------------------------------------


@given(weights, amounts)
def test_the_smallest_of_a_layer_go(weight, amount):
    flat = np.abs(weight.reshape(len(weight), -1)).astype(np.float64)
    relative = flat / np.maximum(flat.max(axis=1, keepdims=True), 1e-9)
    pruned = compressed(weight, prune(amount)).reshape(flat.shape)
    zeroed = pruned == 0
    count = round(amount * flat.size)
    tops = int((relative == 1).sum())
    zeros = int((relative == 0).sum())
    assert zeroed.sum() == max(zeros, min(count, flat.size - tops))
    assert relative[zeroed].max(initial=0) <= relative[~zeroed].min(initial=2) + 1e-6
    assert not zeroed[relative == 1].any()  # every channel keeps its scale


def test_of_equal_weights_the_first_go():
    weight = np.array([[4.0, 1.0, 1.0, 1.0], [1.0, 1.0, 1.0, 4.0]])
    assert compressed(weight, prune(0.5)).tolist() == [[4, 0, 0, 0], [0, 1, 1, 4]]


def test_the_share_of_a_real_layer():
    weight = normal((64, 32, 1, 1))
    for amount in (0.1, 0.5, 0.75, 0.9):
        assert (compressed(weight, prune(amount)) == 0).mean() == pytest.approx(amount, abs=1 / weight.size)
    # a depthwise kernel keeps one weight of nine
    assert (compressed(normal((64, 1, 3, 3)), prune(0.95)) != 0).sum() == 64


@given(weights)
def test_two_of_four_inputs_stay(weight):
    pruned = compressed(weight, prune(0.5, "2:4"))
    for start in range(0, weight.shape[1], 4):
        whole, left = (np.abs(a[:, start : start + 4]) for a in (weight, pruned))
        assert (np.count_nonzero(left, axis=1) <= 2).all()
        largest = np.sort(whole, axis=1)[:, -2:]
        assert np.array_equal(np.sort(left, axis=1)[:, -2:], largest)
    assert compressed(np.full((1, 4), 3.0), prune(0.5, "2:4")).tolist() == [[3, 3, 0, 0]]


def test_the_weakest_channels_go():
    weight = normal((8, 5, 3, 3)) * np.array([5, 1, 7, 2, 8, 3, 6, 4]).reshape(8, 1, 1, 1)
    norms = np.linalg.norm(weight.reshape(8, -1), axis=1)
    pruned = compressed(weight, prune(0.5, "structured"))
    assert set(np.flatnonzero(~pruned.any(axis=(1, 2, 3)))) == set(np.argsort(norms)[:4])
    assert compressed(weight, prune(0.99, "structured")).any()  # one channel is left at least


# ---- clustering --------------------------------------------------------------------------------------------------


@given(weights, st.integers(2, 256))
def test_at_most_so_many_codes(weight, values):
    codes = int8(compressed(weight, cluster(values)))
    ends = {-127, 0, 127} if not weight.all() else {-127, 127}
    assert len(np.unique(codes)) <= max(values, len(ends & set(np.unique(codes))))
    turned = np.where(np.arange(len(codes))[:, None] % 2, -codes, codes)  # a batch norm of negative gains
    assert len(np.unique(turned)) <= max(values, len(ends & set(np.unique(turned))))
    assert np.array_equal(np.abs(codes).max(axis=1), np.abs(int8(weight)).max(axis=1))


@pytest.mark.parametrize("values", [2, 3, 5, 16, 32, 101])
def test_a_real_layer_has_as_many_codes_as_asked_for(values):
    weight = normal((96, 64, 3, 3))
    shared = compressed(weight, cluster(values))
    assert len(np.unique(int8(shared))) == values
    peaks = [np.abs(w).max(axis=(1, 2, 3)) for w in (weight, shared)]
    assert np.array_equal(*peaks)


def test_it_is_the_best_clustering_there_is():
    """Against every choice of two sizes beside the largest, and zero where it must be."""
    weight = np.array([[127, -127, 3, 9, 40, 41, 60, -20, -22, -90, 100, 5]], dtype=np.float64)
    for zeros, values in ((0, 6), (0, 7), (3, 7), (3, 8)):
        layer = np.append(weight, np.zeros((1, zeros)), axis=1)
        sizes = [(127, a, b) if (zeros, values) == (0, 6) else (0, 127, a, b) for a, b in combinations(range(127), 2)]
        cost = (np.abs(np.abs(layer).reshape(1, -1, 1) - np.array(sizes)[:, None, :]).min(axis=2) ** 2).sum(axis=1)
        assert ((int8(compressed(layer, cluster(values))) - layer) ** 2).sum() == cost.min()


def test_it_is_as_good_as_lloyds():
    """With two values less, as these need not be the ends of the scale."""
    from sklearn.cluster import KMeans

    weight = normal((32, 200))
    weight /= np.abs(weight).max(axis=1, keepdims=True)
    ours = np.square(compressed(weight, cluster(16)) - weight).mean()
    theirs = KMeans(14, n_init=4, random_state=0).fit(weight.reshape(-1, 1)).inertia_ / weight.size
    assert ours < theirs


def test_pruned_then_clustered():
    pruned = compressed(normal((32, 64)), prune(0.8))
    both = compressed(pruned, cluster(4))
    assert np.array_equal(both == 0, pruned == 0) or (both == 0).sum() > (pruned == 0).sum()
    assert len(np.unique(int8(both))) <= 4
    assert not compressed(pruned, cluster(2))[pruned == 0].any()  # even where zero is a third value


# ---- schemes and graphs ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scheme", "error", "words"),
    [
        ((("method", "prone"),), UnknownName, "unknown compression method 'prone'; the nearest is 'prune'"),
        ((("amount", 0.5),), UnknownName, "unknown compression method ''"),
        ((("method", "prune"), ("share", 0.5)), InputError, "is no scheme; one is"),
        ((("method", "prune"), ("amount", 2)), InputError, "amount is 2; it must be above 0 and below 1"),
        (
            (("method", "cluster"), ("values", 300)),
            InputError,
            "values is 300; it must be a whole number from 2",
        ),
    ],
)
def test_what_is_no_scheme(scheme, error, words):
    with pytest.raises(error, match=words):
        check_scheme(scheme)
    with pytest.raises(error, match=words):
        rewrite(GRAPH, Plan((Compress(LAYER, scheme),)))


def test_schemes_add_up_in_their_order():
    plan = Plan((Compress(LAYER, prune(0.5)), Compress(LAYER, prune(0.5)), Compress(LAYER, cluster(8))))
    once = rewrite(GRAPH, plan)
    assert once.by_name[LAYER]["compress"] == (prune(0.5), cluster(8))
    twice = rewrite(rewrite(GRAPH, Plan(plan.edits[:1])), Plan(plan.edits[1:]))
    assert twice == once
    assert once.digest != GRAPH.digest
    assert (once.macs, once.params) == (GRAPH.macs, GRAPH.params)
    assert sum(a is b for a, b in zip(once.ops, GRAPH.ops, strict=True)) == len(GRAPH.ops) - 1
    assert as_built(once) == GRAPH
    larger = rewrite(once, Plan((SetInput((3, 48, 48)),)))
    assert larger.by_name[LAYER]["compress"] == (prune(0.5), cluster(8))


def test_a_compressed_graph_travels():
    graph = rewrite(GRAPH, Plan((Compress(LAYER, prune(0.75)), Compress(LAYER, cluster(8)))))
    assert graph_from_json(graph_to_json(graph), "r.json").ops == graph.ops


def test_whoever_reads_the_weight_is_compressed():
    graph = trace(Tied().eval(), (3, 16, 16))
    first, second, *twice = [op.name for op in graph.ops if op.kind == "conv2d"]
    edited = rewrite(graph, Plan((Compress(second, cluster(4)), Compress(twice[0], prune(0.5)))))
    assert edited.by_name[first]["compress"] == edited.by_name[second]["compress"] == (cluster(4),)
    assert {edited.by_name[name]["compress"] for name in twice} == {(prune(0.5),)}


def test_what_has_no_weight_of_its_own():
    relu = next(op.name for op in GRAPH.ops if op.kind == "relu")
    with pytest.raises(NotApplicable, match="a relu has no weight matrix"):
        rewrite(GRAPH, Plan((Compress(relu, prune(0.5)),)))
    standardised = traced("nfnet_l0", 64)
    stem = next(op.name for op in standardised.ops if op.module == "stem.conv1")
    with pytest.raises(NotApplicable, match=r"stem\.conv1: its weight is computed"):
        rewrite(standardised, Plan((Compress(stem, prune(0.5)),)))
    again = graph_from_json(graph_to_json(standardised), "nfnet.json")
    assert again.ops == standardised.ops
