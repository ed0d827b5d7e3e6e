"""A dense convolution in the place of expansion and depthwise convolution, in the block's own code."""

import copy

import numpy as np
import pytest
import timm
import torch
import torch.nn.functional as F
from torch import nn

import workbench as wb
from workbench.errors import SurgeryError
from workbench.graph import FuseLayers, Plan, RemoveModule, rewrite
from workbench.graph.trace import trace
from workbench.surgery import build, dense_weights
from workbench.surgery.activations import capture
from workbench.transforms import DepthMultiplier, EvenChannels, FuseIBN, InputSize, KernelSize, RemoveSE, Sparsify

from ..graph.zoo import lively, traced
from ..transforms.bottlenecks import Bottleneck, Sliced, network, plain
from .conftest import smooth


def biased(b, x):
    return x + b.project(b.act2(b.dw(b.act(b.expand(x)))))


def padded(b, x):
    return x + b.project(b.act2(b.even(b.pad(b.act(b.expand(x))))))


def gated(b, x):
    """What the convolution makes is scaled before its norm: the shift cannot go there."""
    y = b.dw(b.act(b.norm(b.expand(x))))
    return x + b.project(b.act2(b.norm2(y * y.mean((2, 3), keepdim=True).sigmoid())))


def sliced():
    block = Bottleneck(plain)
    block.dw = Sliced((3, 5, 7))
    return block


def same():
    """Stride 2, padded as TensorFlow does."""
    block = Bottleneck(lambda b, x: b.project(b.act2(b.norm2(b.dw(b.act(b.norm(b.expand(x))))))))
    block.dw = timm.layers.create_conv2d(12, 12, 3, stride=2, padding="same", groups=12)
    return block


FORMS = {
    "a norm behind each": lambda: Bottleneck(plain),
    "biases": lambda: Bottleneck(biased, bias=True),
    "a norm and a bias": lambda: Bottleneck(plain, bias=True),
    "an expansion in groups": lambda: Bottleneck(plain, groups=2),
    "a padding of its own": lambda: Bottleneck(padded, bias=True),
    "a gate before the norm": lambda: Bottleneck(gated),
    "kernels on slices": sliced,
    "same padding": same,
}


def fusing(form, target, images=None):
    """Original and built block, in float64, and its plan."""
    block = FORMS[form]()
    model, graph = network(block, block.expand.in_channels)
    model = model.double()
    plan = FuseIBN("1").plan(graph, target)
    return model, build(model, graph, [plan], images), graph, plan


@pytest.mark.parametrize("form", FORMS)
def test_without_a_nonlinearity_composing_is_exact_inside_the_map(form, target):
    """The activation between is a leaky ReLU of slope 1; the block's own code is the reference."""
    model, built, _, _ = fusing(form, target)
    x = torch.randn(2, model[1].expand.in_channels, 24, 24, dtype=torch.float64)
    if form == "a gate before the norm":  # it looks at the whole map, border included
        model[1].code = built[1].code = lambda b, x: x + b.project(b.act2(b.dw(b.act(b.norm(b.expand(x))))))
    with torch.no_grad():
        old, new = model[1](x), built[1](x)
    assert old.shape == new.shape
    torch.testing.assert_close(new[..., 3:-3, 3:-3], old[..., 3:-3, 3:-3], rtol=1e-9, atol=1e-9)
    assert isinstance(built[1].expand, nn.Identity)


@pytest.mark.parametrize("form", FORMS)
def test_the_fit_is_the_least_squares_solution(form, target):
    """The dense layer, and the norm right behind it, against numpy's lstsq on explicit patches, in float64."""
    torch.manual_seed(0)
    images = smooth(24, 24, seed=1).double()
    block = FORMS[form]()
    block.act = nn.ReLU()
    model, graph = network(block, block.expand.in_channels)
    model, plan = model.double(), FuseIBN("1").plan(graph, target)
    composed, fitted = build(model, graph, [plan]), build(model, graph, [plan], images)
    images = torch.cat([images, images.flip(-1)])
    layer = "1.even" if form == "a padding of its own" else "1.dw"
    behind = block.norm2 if layer == "1.dw" and form not in ("biases", "a gate before the norm") else None

    def hidden(m):
        u = capture(m, images, {"u": (layer if behind is None else "1.norm2", "output")})["u"]
        return u.permute(0, 2, 3, 1).flatten(0, 2).numpy()

    x = capture(model, images, {"x": ("1", "input")})["x"]
    conv = fitted.get_submodule(layer)
    size, step = conv.kernel_size[0], conv.stride[0]
    pads = (0, 1, 0, 1) if size == 2 or step == 2 else (size // 2,) * 4
    columns = F.unfold(F.pad(x, pads), size, stride=step).transpose(1, 2).flatten(0, 1).numpy()
    design, expected = np.c_[columns, np.ones(len(columns))], hidden(model)
    best = np.linalg.norm(design @ np.linalg.lstsq(design, expected, rcond=None)[0] - expected)
    ours, plainly = (np.linalg.norm(hidden(m) - expected) for m in (fitted, composed))
    assert best < ours < 1.05 * best  # the ridge was chosen for images not fitted, on a sample of the pixels
    assert ours < plainly


@pytest.mark.parametrize(
    ("name", "size", "blocks"),
    [("test_coatnet", 160, "*"), ("test_maxvit", 160, "stages.[03].*"), ("test_efficientnet_gn", 64, "*"),
     ("test_efficientnet_ln", 64, "*"), ("test_efficientnet_evos", 64, "*"), ("mixnet_s", 64, "blocks.[12].0")],
)  # fmt: skip
def test_least_squares_beats_composing_on_every_block(name, size, blocks, target):
    """Held-out images, each block handed what the original's reads; few pixels reach the late ones."""
    model, graph = lively(name), traced(name, size)
    plan = FuseIBN(blocks).plan(graph, target)
    composed, fitted = build(model, graph, [plan]), build(model, graph, [plan], smooth(16, size, seed=1))
    paths = [block.name for block in graph.blocks if {edit.ops[-1] for edit in plan.edits} & set(block.ops)]
    assert len(paths) == len(plan.edits)
    for path in paths:
        x = capture(model, smooth(8, size, seed=2), {"x": (path, "input")})["x"]
        with torch.no_grad():
            y, a, b = (m.get_submodule(path)(x.clone()) for m in (model, composed, fitted))
        assert (b - y).norm() < (a - y).norm(), path


def test_the_widest_kernels_are_scaled_alone(target, monkeypatch):
    """Where a fit of all weights would take hours: better than composing still."""
    monkeypatch.setattr(dense_weights, "_WIDEST", 50)
    images = smooth(24, 24, seed=1).double()
    block = FORMS["a norm behind each"]()
    block.act = nn.ReLU()
    model, graph = network(block, block.expand.in_channels)
    model, plan = model.double(), FuseIBN("1").plan(graph, target)
    new = smooth(8, 24, seed=2).double()
    with torch.no_grad():
        old, composed, scaled = (
            m(new) for m in (model, build(model, graph, [plan]), build(model, graph, [plan], images))
        )
    assert (scaled - old).norm() < 0.9 * (composed - old).norm()


def test_distillation_goes_on_from_the_fit(target):
    model, graph = lively("test_efficientnet_gn"), traced("test_efficientnet_gn", 64)
    plans = [FuseIBN().plan(graph, target)]
    calls = []
    images, unseen = smooth(48, 64, seed=1), smooth(8, 64, seed=5)
    fitted = build(model, graph, plans, images)
    distilled = build(model, graph, plans, images, 80, lambda *news: calls.append(news))
    assert [news[0] for news in calls if news[1] == 80] == ["blocks.3.0", "blocks.4.0"]
    y, a, b = (capture(m, unseen, {"y": ("blocks.4.0", "output")})["y"] for m in (model, fitted, distilled))
    assert (b - y).norm() < (a - y).norm()


def test_training_goes_on_from_the_fit(target):
    """Batch statistics of the calibration images are the ones the norm behind holds."""
    model, graph = lively("test_maxvit"), traced("test_maxvit", 160)
    images = smooth(16, 160, seed=1)
    path = "stages.0.blocks.0.conv"
    built = build(model, graph, [FuseIBN(path).plan(graph, target)], images)
    x = capture(built, torch.cat([images, images.flip(-1)]), {"x": (f"{path}.conv2_kxk", "input")})["x"]
    block = built.get_submodule(path)
    with torch.no_grad():
        still = block.norm2(y := block.conv2_kxk(x))
        moving = block.norm2.train()(y)
    assert (moving - still).norm() < 0.05 * still.norm()  # the fit saw a sample of the pixels


@pytest.mark.parametrize(
    ("name", "then"),
    [
        ("test_efficientnet_evos", EvenChannels("up", 24)),
        ("test_efficientnet_evos", RemoveSE()),
        ("test_efficientnet_evos", KernelSize(5)),
        ("mixnet_s", EvenChannels("up", 24)),
        ("mixnet_s", KernelSize(3)),
        ("tf_mixnet_s", KernelSize(3)),
        ("tf_mixnet_s", DepthMultiplier(0.75)),
        ("tf_mixnet_s", InputSize(96)),
    ],
)
def test_other_transforms_go_on_from_the_fused_blocks(name, then, target):
    """Building compares what it traces with the plan."""
    model, graph = lively(name), traced(name, 64)
    plan = FuseIBN("blocks.[34].0").plan(graph, target)
    first, both = build(model, graph, [plan]), build(model, graph, [plan, then.plan(rewrite(graph, plan), target)])
    if then == EvenChannels("up", 24) or (then == KernelSize(5) and "mixnet" not in name):  # the same function
        x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1)).double()
        with torch.no_grad():
            y, z = (copy.deepcopy(m).double()(x) for m in (first, both))
        assert (z - y).norm() < 1e-5 * y.norm()


def test_sparse_expansions_stay_sparse(target):
    model, graph = lively("test_efficientnet_gn"), traced("test_efficientnet_gn", 64)
    sparse = Sparsify(0.75, blocks="blocks.3.0").plan(graph, target)
    fused = FuseIBN("blocks.3.0").plan(rewrite(graph, sparse), target)
    built = build(model, graph, [sparse, fused])
    assert float((built.blocks[3][0].conv_dw.weight == 0).float().mean()) >= 0.75


def test_what_is_frozen_stays_frozen(target):
    model, graph = copy.deepcopy(lively("test_efficientnet_gn")), traced("test_efficientnet_gn", 64)
    for parameter in model.blocks[3][0].conv_dw.parameters():
        parameter.requires_grad_(False)
    built = build(model, graph, [FuseIBN("blocks.3.0").plan(graph, target)])
    assert not built.blocks[3][0].conv_dw.weight.requires_grad
    assert built.blocks[3][0].conv_pwl.weight.requires_grad


def test_a_norm_that_holds_its_activation_can_be_taken_out(target):
    model, graph = lively("test_coatnet"), traced("test_coatnet", 160)
    ops = tuple(op.name for op in graph.ops if op.module.startswith("stages.0.blocks.0.norm1"))
    assert len(ops) == 2
    built = build(model, graph, [Plan((RemoveModule("stages.0.blocks.0.norm1", ops),))])
    assert isinstance(built.stages[0].blocks[0].norm1, nn.Identity)


def test_other_rows_of_layers_have_no_one_convolution(target):
    model, graph = network(Bottleneck(plain))
    (edit,) = FuseIBN().plan(graph, target).edits
    row = FuseLayers(edit.ops[1:], edit.new_ops, edit.module_class, edit.init)
    with pytest.raises(SurgeryError, match=r"1\.dw: one convolution can stand for an expansion and a depthwise one"):
        build(model, graph, [Plan((row,))])


def test_undone_saved_and_applied_again(tmp_path):
    opened = wb.open("test_efficientnet_gn", target="ethos-u65-512", input_size=(3, 64, 64))
    session = opened.apply(FuseIBN()).apply(KernelSize(5))
    x = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        expected, original = session.build()(x), opened.build()(x)
        assert torch.equal(session.undo().undo().build()(x), original)
        assert torch.equal(wb.load(session.save(tmp_path / "it.wb")).build()(x), expected)
        assert torch.equal(opened.apply(session.to_recipe()).build()(x), expected)
    assert not torch.equal(expected, original)
    model, graph = session.build(), session.graph
    assert trace(model, (3, 64, 64)).params == graph.params
