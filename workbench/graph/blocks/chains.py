"""The main path of some operators, and the kind of block it says."""

from collections.abc import Sequence
from dataclasses import dataclass

from .layers import Layers

__all__ = ["Chain", "block_kind", "main_chain"]

_LAYER_SCORE = 1000  # above any kernel size


@dataclass(frozen=True)
class Chain:
    """layers: indices along the main path. letters: one a layer. residual: whether a shortcut is added to it."""

    layers: tuple[int, ...] = ()
    letters: str = ""
    residual: bool = False


def main_chain(layers: Layers, members: Sequence[int]) -> Chain:
    """The chain of most layers through these operators; of several, the one of the largest kernels."""
    score: dict[int, int] = {}  # of the best chain up to an operator
    last: dict[int, int] = {}  # layer on it
    before: dict[int, int] = {}  # the layer before a layer
    fewest: dict[int, int] = {}  # layers on any way from outside the members
    merges: list[tuple[int, int]] = []  # score and fewest of what joins branches
    top, end = 0, -1
    for i in members:
        best, layer, few = 0, -1, 0 if not layers.reads[i] else 1 << 30
        for source in layers.reads[i]:
            if source in score:
                if score[source] > best:
                    best, layer = score[source], last[source]
                few = min(few, fewest[source])
            else:
                few = 0
        op = layers.ops[i]
        if layers.letters[i]:
            before[i] = layer
            best, layer = best + _LAYER_SCORE + (max(op["kernel"]) if op.kind == "conv2d" else 1), i
            few += 1
        elif len(layers.reads[i]) > 1 and op.kind in ("add", "concat"):
            merges.append((best, few))
        score[i], last[i], fewest[i] = best, layer, few
        if best > top:
            top, end = best, layer
    path: list[int] = []
    while end >= 0:
        path.append(end)
        end = before[end]
    path.reverse()
    n = len(path)
    residual = any(best == top and (few == 0 or 1 == few < n) and n > 0 for best, few in merges)
    return Chain(tuple(path), "".join(layers.letters[i] for i in path), residual)


def block_kind(layers: Layers, members: Sequence[int], chain: Chain, cls: str) -> str:
    """The kind of block that operators with this main path form; cls: class name of their module."""
    letters, residual = chain.letters, chain.residual
    member_layers = [i for i in members if layers.letters[i]]
    if letters in ("dpdp", "pdp", "dpp", "pp") and cls == "UniversalInvertedResidual":
        return "universal-ib"
    if letters == "pdp":
        return "ibn"
    if letters == "dpdp" and layers.ops[chain.layers[1]].shape[1] > layers.ops[chain.layers[3]].shape[1]:
        return "universal-ib"
    if letters in ("kp", "dp") and (residual or len(member_layers) - _beside(layers, members, chain) == len(letters)):
        first, second = (layers.ops[i] for i in chain.layers)
        if letters == "dp":
            return "depthwise-separable"
        if first["groups"] == 1 and (first.shape[1] > second.shape[1] or cls == "EdgeResidual"):
            return "fused-ibn"
    if residual and letters == "kk":
        return "basic"
    if residual and len(letters) > 2 and letters.strip("p") == letters[1:-1] == "k" * (len(letters) - 2):
        return "bottleneck"
    if len(letters) == 1 and letters in "pdk" and all(layers.letters[i] in "pdk" for i in member_layers):
        return "conv"
    return "other"


def _beside(layers: Layers, members: Sequence[int], chain: Chain) -> int:
    """Layers that work on other slices beside one of the chain: their outputs are concatenated as they are."""
    joined = (layers.reads[i] for i in members if layers.ops[i].kind == "concat")
    on_chain = set(chain.layers)
    rows = (row for row in joined if set(row) & on_chain and all(i >= 0 and layers.letters[i] for i in row))
    return sum(len(set(row) - on_chain) for row in rows)
