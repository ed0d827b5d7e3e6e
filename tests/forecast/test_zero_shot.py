"""Zero-shot scores: against the papers' formulas computed another way, and what a user relies on."""

import math

import pandas as pd
import pytest
import timm
import torch
from torch import nn

import workbench as wb
from workbench.errors import InputError
from workbench.forecast.zero_shot.drawn import drawn_anew

PICTURES = torch.randn(6, 3, 32, 32, generator=torch.Generator().manual_seed(1))


class Plain(nn.Module):
    """Two convolutions with a norm and a ReLU between, and a classifier."""

    def __init__(self, width: int = 8):
        super().__init__()
        self.first = nn.Conv2d(3, width, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.act = nn.ReLU()
        self.second = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.head = nn.Linear(width, 5)

    def forward(self, x):
        return self.head(self.second(self.act(self.norm(self.first(x)))).mean((2, 3)))


def test_synflow_is_the_flow_through_every_layer():
    """With nothing but positive weights the flow through each layer is the same: the output's sum."""
    scores = wb.search.zero_shot(Plain(), PICTURES)
    network = drawn_anew(Plain()).double().eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.abs_()
        total = float(network(torch.ones(1, 3, 32, 32, dtype=torch.float64)).sum())
    assert scores["synflow"] == pytest.approx(math.log10(3 * total))  # three layers, no biases


def test_naswot_counts_agreeing_activations():
    network = drawn_anew(Plain())
    with torch.no_grad():
        sides = (network.norm(network.first(PICTURES)) > 0).flatten(1)
    agree = torch.tensor([[(a == b).sum().item() for b in sides] for a in sides], dtype=torch.float64)
    scores = wb.search.zero_shot(Plain(), PICTURES)
    assert scores["naswot"] == pytest.approx(float(torch.linalg.slogdet(agree).logabsdet))


def test_zico_by_hand():
    network, total = drawn_anew(Plain()), 0.0
    halves = []
    for part in PICTURES.chunk(2):
        network.zero_grad()
        nn.functional.cross_entropy(network(part), torch.arange(len(part)) % 5).backward()
        halves.append([p.grad.clone() for p in network.parameters() if p.dim() >= 2])
    for one, two in zip(*halves, strict=True):
        mean, deviation = (one.abs() + two.abs()) / 2, (one - two).abs() / 2
        total += math.log(float((mean / deviation)[deviation > 0].double().sum()))
    assert wb.search.zero_shot(Plain(), PICTURES)["zico"] == pytest.approx(total, rel=1e-3)


def test_entropy_of_equal_components_is_the_logarithm_of_their_number():
    from workbench.forecast.zero_shot.features import _entropy

    maps = torch.randn(8, 16, 40, 40, generator=torch.Generator().manual_seed(0))
    assert _entropy(maps) == pytest.approx(math.log(16), abs=0.01)
    assert _entropy(maps[:, :1].expand(-1, 16, -1, -1)) == pytest.approx(0, abs=1e-6)


def test_scores_are_of_the_architecture_and_leave_the_module_alone():
    module = timm.create_model("test_efficientnet", num_classes=7)
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    scores = wb.search.zero_shot(module, PICTURES)
    assert all(torch.equal(before[name], tensor) for name, tensor in module.state_dict().items())
    assert all(math.isfinite(value) for value in scores.values())
    other = timm.create_model("test_efficientnet", num_classes=7)  # other random weights
    with torch.inference_mode():
        assert wb.search.zero_shot(other, PICTURES) == scores
    assert scores["params"] == sum(p.numel() for p in module.parameters())


def test_networks_of_other_kinds():
    for name in ("test_vit", "test_convnext"):
        size = {"img_size": 32} if name == "test_vit" else {}
        scores = wb.search.zero_shot(timm.create_model(name, **size), PICTURES)
        assert math.isnan(scores["zen"])  # no batch norms
        assert all(math.isfinite(value) for key, value in scores.items() if key != "zen"), name


def test_wider_is_more_together():
    widths = (4, 8, 16, 32)
    table = pd.DataFrame([wb.search.zero_shot(Plain(width), PICTURES) for width in widths], index=widths)
    together = wb.search.rank_together(table)
    assert together.rank().corr(pd.Series(widths, index=widths), method="spearman") > 0.7
    with pytest.raises(InputError, match="without naswot"):
        wb.search.rank_together(table.drop(columns="naswot"))


def test_together_is_the_mean_rank_of_what_is_read_and_what_is_learned():
    table = pd.DataFrame({"naswot": [1.0, 2, 3, 4], "zico": [10.0, 30, 20, math.nan], "macs": [9.0, 9, 9, 1]})
    together = wb.search.rank_together(table)
    assert together.tolist() == [(1 + 2) / 8, (2 + 4) / 8, (3 + 3) / 8, (4 + 1) / 8]


def test_bad_pictures():
    with pytest.raises(InputError, match="N of 4 at least"):
        wb.search.zero_shot(Plain(), PICTURES[:2])
