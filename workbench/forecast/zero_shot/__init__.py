"""Zero-shot scores: numbers of an untrained network that rise with the accuracy it will have once trained.

Every score is of the architecture alone: weights are drawn anew (He et al. 2015, by a seed), so that a network says the
same whether it was trained or not. Scores of two networks can be compared, not read: their scales mean nothing.

    synflow        log of the sum of abs(w dL/dw), all weights positive, L the output for ones   Tanaka et al. 2020
    naswot         log det K, K[i, j] the activations on whose sides of zero pictures i, j agree   Mellor et al. 2021
    jacov          how little the input gradients of different pictures are correlated   Mellor et al. 2020 (v1)
    grad_norm      norm of the loss gradient, summed over layers   Abdelfattah et al. 2021
    zico           mean abs gradient over its deviation between batches, per layer   Li et al. 2023
    zen            log of how far features move when noise moves, norms' scales put back   Lin et al. 2021
    expressivity   entropy of the features' principal components, summed over blocks   Lee and Ham 2024 (AZ-NAS)
    progressivity  its least rise from block to block   AZ-NAS
    trainability   how near the gradients' gain through a block is to 1   AZ-NAS
    params, macs   what to hold every score against; `macs` is AZ-NAS's fourth, complexity
"""

import pandas as pd
import torch
from torch import Tensor, nn

from ...errors import InputError
from ...graph.trace import trace
from . import activations, features, gradients
from .drawn import drawn_anew

__all__ = ["TOGETHER", "rank_together", "zero_shot"]

# What it reads forwards, and what it learns from backwards. On 49 edits of MobileNetV2 trained on clothing, on which
# the two were chosen, AZ-NAS's scores order edits of one network less well: a fused block has more arithmetic and fewer
# blocks have less to rise through, whatever they are worth.
TOGETHER = ("naswot", "zico")
LEAST_PICTURES = 4


def zero_shot(module: nn.Module, images: Tensor) -> dict[str, float]:
    """Scores of the module's architecture by name, more is better; the module is not changed.

    images: [N, channels, height, width] in the network's own scale, N >= 4; real pictures, no labels. The scores of
    networks that are to be compared need the same pictures. A score that a network has no layers for (`zen` without
    batch norms) is nan.

    >>> import timm, torch
    >>> scores = zero_shot(timm.create_model("test_resnet"), torch.randn(4, 3, 32, 32))
    >>> sorted(scores)[:4], scores["params"]
    (['expressivity', 'grad_norm', 'jacov', 'macs'], 469688.0)
    """
    if images.dim() != 4 or len(images) < LEAST_PICTURES:
        raise InputError(
            f"images of shape {tuple(images.shape)}: zero-shot scores compare pictures, [N, channels, height, width]"
            f" with N of {LEAST_PICTURES} at least"
        )
    channels, height, width = images.shape[1:]
    graph = trace(module, (channels, height, width))
    blocks = tuple(block.name for block in graph.blocks if block.kind != "head")
    with torch.inference_mode(False), torch.enable_grad():  # whatever mode the caller is in
        network = drawn_anew(module)
        images = images.detach().clone().float()
        return {
            "synflow": gradients.synflow(drawn_anew(module), images[:1]),
            "naswot": activations.naswot(network, images),
            "jacov": gradients.jacov(network, images),
            "grad_norm": gradients.grad_norm(network, images),
            "zico": gradients.zico(network, images),
            "zen": features.zen(drawn_anew(module), images),
            **features.az_nas(network, images, blocks),
            "params": float(graph.params),
            "macs": float(graph.macs),
        }


def rank_together(scores: pd.DataFrame) -> pd.Series:
    """One number a network from its scores `TOGETHER`: the mean of its ranks among all, as shares (Borda count).

    NASWOT says how many regions the network tells pictures apart by, ZiCo how steadily its layers learn. The pair was
    chosen on one ledger, 49 edits of MobileNetV2 trained on clothing, and replaced AZ-NAS's aggregate of six scores:
    Spearman .84 with the accuracy trained where ZiCo alone has .83 and the six had .59. So that figure is no test of
    it; what other ledgers say is (`make bench-evidence`). Ranks are averaged without AZ-NAS's logarithm, which
    lets the worse of two scores decide.

    scores: a row a network, columns as `zero_shot` names them. A score that is nan for a network counts as its worst.

    >>> table = pd.DataFrame({name: [1.0, 3.0, 2.0] for name in TOGETHER}, index=list("abc"))
    >>> rank_together(table).sort_values().index.tolist()
    ['a', 'c', 'b']
    """
    missing = [name for name in TOGETHER if name not in scores]
    if missing:
        raise InputError(f"scores without {', '.join(missing)}: give rows of zero_shot()")
    ranks = scores[list(TOGETHER)].rank(na_option="top") / len(scores)
    return ranks.mean(axis=1).rename("together")
