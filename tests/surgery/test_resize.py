"""Narrowing keeps what matters, everywhere alike."""

import torch
from torch import nn

from workbench.graph import Plan, Resize
from workbench.graph.trace import trace
from workbench.surgery import build

from ..graph.networks import Grouped, Residual


def test_dead_channels_go_first_and_nothing_changes():
    """Channels of the trunk whose makers are zero are dropped; the function stays the same."""
    torch.manual_seed(1)
    model = Residual(trunk=12).eval()
    dead = [2, 7, 8, 11]
    with torch.no_grad():
        for layer in (model.stem, model.project, model.dense):
            layer.weight[dead] = 0
            if layer.bias is not None:
                layer.bias[dead] = 0
    graph, x = trace(model, (3, 32, 32)), torch.randn(2, 3, 32, 32)
    built = build(model, graph, [Plan((Resize("stem", 8),))])
    alive = [i for i in range(12) if i not in dead]
    torch.testing.assert_close(built.stem.weight, model.stem.weight[alive])
    torch.testing.assert_close(built.dense.weight, model.dense.weight[alive][:, alive])
    torch.testing.assert_close(built(x), model(x), rtol=1e-5, atol=1e-6)


def test_norms_count_for_importance():
    torch.manual_seed(1)
    model = Residual(trunk=6).eval()
    with torch.no_grad():
        for layer in (model.stem, model.project, model.dense):
            layer.weight[:] = layer.weight[:1]  # equal rows: only the norm tells them apart
        model.bn.weight.copy_(torch.tensor([1.0, 5.0, 2.0, 0.1, 4.0, 3.0]))
    built = build(model, trace(model, (3, 32, 32)), [Plan((Resize("stem", 3),))])
    torch.testing.assert_close(built.bn.weight, torch.tensor([5.0, 4.0, 3.0]))


def test_channels_to_keep_can_be_named():
    model = Residual().eval()
    built = build(model, trace(model, (3, 32, 32)), [Plan((Resize("expand", 3, keep=(20, 4, 9)),))])
    torch.testing.assert_close(built.dw.weight, model.dw.weight[[4, 9, 20]])
    torch.testing.assert_close(built.project.weight, model.project.weight[:, [4, 9, 20]])


def test_groups_keep_their_own_channels():
    """Each of the four groups loses its own weakest channel; the reference is written out by hand."""
    torch.manual_seed(0)
    model = Grouped(16).eval()
    graph, x = trace(model, (3, 32, 32)), torch.randn(1, 3, 32, 32)
    built = build(model, graph, [Plan((Resize("stem", 12),))])
    norms = model.stem.weight.detach().flatten(1).norm(dim=1).reshape(4, 4)
    keep = [4 * g + i for g in range(4) for i in sorted(norms[g].argsort(descending=True)[:3].tolist())]
    torch.testing.assert_close(built.stem.weight, model.stem.weight[keep])
    masked = nn.Sequential(model.stem, model.grouped)
    maps = masked[0](x)
    zeroed = torch.zeros_like(maps)
    zeroed[:, keep] = maps[:, keep]
    torch.testing.assert_close(built.grouped(built.stem(x)), masked[1](zeroed), rtol=1e-4, atol=1e-6)


def test_building_twice_gives_the_same_numbers():
    model = Residual().eval()
    graph = trace(model, (3, 32, 32))
    a, b = (build(model, graph, [Plan((Resize("stem", 20),))]).state_dict() for _ in range(2))
    assert all(torch.equal(a[key], b[key]) for key in a)


def test_new_channels_can_learn():
    """New rows are random and get a gradient through their new columns after one step."""
    torch.manual_seed(0)
    model = Residual().eval()
    built = build(model, trace(model, (3, 32, 32)), [Plan((Resize("expand", 32),))])
    assert built.expand.weight[24:].std() > 0
    assert built.project.weight[:, 24:].abs().max() == 0
    built(torch.randn(2, 3, 32, 32)).square().sum().backward()
    assert built.project.weight.grad[:, 24:].abs().max() > 0
