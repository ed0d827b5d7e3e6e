"""Compression schemes: what pruning and clustering make of a weight's values; this is the one implementation.

Symbols   w  weight [outputs, inputs, ...]     p  largest |w| of an output channel     r = w / p, in -1..1

    prune, "unstructured"   the smallest |r| of the layer become 0; the largest of every channel stays
    prune, "2:4"            of every four input channels (axis 1) the two largest |w| stay
    prune, "structured"     the output channels of the smallest ||w||2 become 0
    cluster                 |r| moves to one of few multiples of 1/127, signs stay: at most `values` int8 codes

Converters scale every output channel to its own largest weight, and a batch norm that is folded in scales channels,
too: neither moves |r|, so what is pruned or shared here still is in the deployed file. It may turn signs, so codes come
in pairs: 16 values are 8 sizes, 15 are 7 and zero.

Clustering is k-means in one dimension, on the histogram of the sizes of int8 codes, 0 to 127. There it is solved
exactly, by dynamic programming over intervals (Wang and Song 2011, Ckmeans.1d.dp, The R Journal 3/2), so that nothing
depends on a starting point. 127 stays what it is, so that every channel keeps its scale, and so does 0 where weights
are exactly 0, even if, with two values, it is one too many.

Every scheme is deterministic (of equal weights, the first of the layer become 0, and the first of four stay), keeps
zeros, and changes nothing when it is applied again.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Literal, get_args

import numpy as np

from ..errors import InputError, unknown

__all__ = ["Pattern", "Scheme", "Schemes", "check_scheme", "cluster", "compressed", "prune"]

# One way to change values, as plain data: (("method", "prune"), ("amount", 0.5), ("pattern", "2:4")).
Scheme = tuple[tuple[str, Any], ...]
Schemes = tuple[Scheme, ...]
Pattern = Literal["unstructured", "2:4", "structured"]

_TOP = 127  # largest int8 code; -128 is not used for weights


def prune(amount: float = 0.5, pattern: str = "unstructured") -> Scheme:
    """The scheme that sets a share of the weights to zero; raises InputError where the two do not go together.

    >>> prune(0.75)
    (('method', 'prune'), ('amount', 0.75), ('pattern', 'unstructured'))
    """
    if pattern not in get_args(Pattern):
        raise unknown("pattern", pattern, get_args(Pattern))
    if not isinstance(amount, (int, float)) or isinstance(amount, bool) or not 0 < amount < 1:
        raise InputError(f"amount is {amount!r}; it must be above 0 and below 1, such as 0.5")
    if pattern == "2:4" and amount != 0.5:
        raise InputError(f"amount is {amount!r} with the pattern '2:4'; two of four are half, so it must be 0.5")
    return (("method", "prune"), ("amount", float(amount)), ("pattern", pattern))


def cluster(values: int = 16) -> Scheme:
    """The scheme that lets the weights of a layer share so many values.

    >>> cluster(16)
    (('method', 'cluster'), ('values', 16))
    """
    if not isinstance(values, int) or isinstance(values, bool) or not 2 <= values <= 256:
        raise InputError(f"values is {values!r}; it must be a whole number from 2 to 256, such as 16")
    return (("method", "cluster"), ("values", values))


def check_scheme(scheme: Scheme) -> None:
    """Raise InputError (UnknownName) for what is no scheme, in one sentence."""
    options = dict(scheme)
    method = options.pop("method", "")
    if method not in _METHODS:
        raise unknown("compression method", method, _METHODS)
    try:
        _METHODS[method](**options)
    except TypeError:
        raise InputError(f"{scheme!r} is no scheme; one is {_METHODS[method]()!r}") from None


def compressed(weight: np.ndarray, scheme: Scheme) -> np.ndarray:
    """The weight [outputs, inputs, ...] with the scheme applied: a new array of the same shape and dtype, or itself.

    >>> weight = np.array([[0.1, -0.9, 0.4, 0.3], [8.0, 2.0, 5.0, 1.0]])
    >>> compressed(weight, prune(0.5, "2:4"))
    array([[ 0. , -0.9,  0.4,  0. ],
           [ 8. ,  0. ,  5. ,  0. ]])
    >>> compressed(weight, prune(0.5))  # relative to 0.9 and to 8
    array([[ 0. , -0.9,  0.4,  0. ],
           [ 8. ,  0. ,  5. ,  0. ]])
    """
    check_scheme(scheme)
    options = dict(scheme)
    if options["method"] == "cluster":
        return _clustered(weight, options["values"])
    zero = _ZEROED[options["pattern"]](weight, options["amount"])
    return np.where(zero, weight.dtype.type(0), weight)


# ---- prune: which weights become zero -----------------------------------------------------------------------------


def _relative(weight: np.ndarray) -> np.ndarray:
    """r, in float32: what a channel's scale has added in rounding does not tell equal weights apart."""
    flat = weight.reshape(len(weight), -1).astype(np.float64)
    peak = np.abs(flat).max(axis=1, keepdims=True)
    return (flat / np.where(peak > 0, peak, 1)).astype(np.float32).reshape(weight.shape)


def _smallest(weight: np.ndarray, amount: float) -> np.ndarray:
    size = np.abs(_relative(weight)).ravel()
    count = min(round(amount * size.size), int(np.count_nonzero(size < 1)))
    if not count:
        return np.zeros(weight.shape, dtype=bool)
    limit = np.partition(size, count - 1)[count - 1]
    zero = size < limit
    zero[np.flatnonzero(size == limit)[: count - np.count_nonzero(zero)]] = True
    return zero.reshape(weight.shape)


def _two_in_four(weight: np.ndarray, amount: float) -> np.ndarray:
    outputs, inputs = weight.shape[:2]
    fours = -(-inputs // 4)
    size = np.full((outputs, fours * 4, weight[0, 0].size), -1.0)  # what fills up the last four ranks behind all
    size[:, :inputs] = np.abs(weight).reshape(outputs, inputs, -1)
    a = np.moveaxis(size.reshape(outputs, fours, 4, -1), 2, 0)
    larger = np.stack([sum((a[j] >= a[i]) if j < i else (a[j] > a[i]) for j in range(4) if j != i) for i in range(4)])
    zero = np.moveaxis(larger >= 2, 0, 2).reshape(size.shape)
    return zero[:, :inputs].reshape(weight.shape)


def _weakest(weight: np.ndarray, amount: float) -> np.ndarray:
    norms = np.square(weight.reshape(len(weight), -1).astype(np.float64)).sum(axis=1)
    count = min(round(amount * len(norms)), len(norms) - 1)
    zero = np.zeros(weight.shape, dtype=bool)
    zero[np.argsort(norms, kind="stable")[:count]] = True
    return zero


# ---- cluster ----------------------------------------------------------------------------------------------------


def _clustered(weight: np.ndarray, values: int) -> np.ndarray:
    flat = weight.reshape(len(weight), -1).astype(np.float64)
    peak = np.abs(flat).max(axis=1, keepdims=True)
    sizes = np.rint(np.abs(flat) / np.where(peak > 0, peak, 1) * _TOP).astype(np.int64)
    counts = np.bincount(sizes.ravel(), minlength=_TOP + 1)
    used = np.flatnonzero(counts)
    if 2 * np.count_nonzero(used) + (used[0] == 0) <= values:
        return weight
    with_zero = values % 2 == 1 or not flat.all()
    if with_zero:
        used = np.union1d(used, 0)
    fixed = (used == _TOP) | ((used == 0) & with_zero)
    moved = np.zeros(_TOP + 1)
    moved[used] = _centres(used, counts[used], fixed, max((values + with_zero) // 2, int(fixed.sum())))
    shared: np.ndarray = np.copysign(moved[sizes] / _TOP * peak, flat)
    return (shared + 0.0).reshape(weight.shape).astype(weight.dtype)  # + 0.0: no negative zeros


def _centres(at: np.ndarray, count: np.ndarray, fixed: np.ndarray, k: int) -> np.ndarray:
    """For each of the sizes `at` (ascending, `count` of each) the centre of its cluster, of k clusters.

    A cluster holds neighbouring sizes; its centre is the nearest whole number to their mean, or the fixed one of them.
    """

    def between(x: np.ndarray) -> np.ndarray:
        """[first, last]: the sum of x over the sizes first..last."""
        to = np.concatenate([[0], np.cumsum(x)])
        return np.asarray(to[None, 1:] - to[:-1, None])

    n, total, squares, held = between(count), between(count * at), between(count * at**2), between(fixed)
    centre = np.where(held == 1, between(at * fixed), np.rint(total / np.maximum(n, 1)))
    cost = squares - 2 * centre * total + centre**2 * n
    cost = np.where((held <= 1) & np.triu(np.ones_like(n, dtype=bool)), cost, np.inf)
    best, starts = cost[0], []  # of the sizes up to each, in 1, 2, .. clusters
    for _ in range(k - 1):
        split = best[:-1, None] + cost[1:]
        starts.append(np.argmin(split, axis=0) + 1)
        best = split.min(axis=0)
    centres, end = np.empty(len(at)), len(at)
    for start in [*reversed(starts), np.zeros(len(at), dtype=int)]:
        first = int(start[end - 1])
        centres[first:end] = centre[first, end - 1]
        end = first
    return centres


_METHODS: Mapping[str, Callable[..., Scheme]] = MappingProxyType({"prune": prune, "cluster": cluster})
_ZEROED: Mapping[str, Callable[[np.ndarray, float], np.ndarray]] = MappingProxyType(
    {"unstructured": _smallest, "2:4": _two_in_four, "structured": _weakest}
)
