"""Built models compute what was promised and are plain timm models."""

import copy
from dataclasses import replace
from typing import get_args

import pytest
import timm
import torch
from timm.models.volo import VOLO

from workbench.errors import SurgeryError, UnknownName
from workbench.graph import Compress, Edit, Plan, RemoveModule, ReplaceBlock, Resize, SetInput, SetSpatial, rewrite
from workbench.graph.trace import trace
from workbench.surgery import build
from workbench.surgery.carry_out import _CHANGES, _REPLACEMENTS, carry_out
from workbench.transforms import DenseDepthwise, DepthMultiplier, EvenChannels, FuseIBN

from ..graph.networks import Grouped, PartialResidual, Residual, SqueezeExcite
from ..graph.zoo import lively, traced
from .conftest import smooth

EXACT = ["mobilenetv2_100", "mnasnet_100", "mobilenetv3_large_100", "resnet18", "regnetx_004", "ghostnet_100",
         "efficientnet_b0"]  # fmt: skip


def relative(y, z):
    return float((z - y).norm() / y.norm())


def check(model, graph, transform, target):
    """Build, and compare what it computes with the original (build itself compares shapes with the plan)."""
    plan = transform.plan(graph, target)
    built, planned = build(model, graph, [plan]), rewrite(graph, plan)
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(3)).double()
    with torch.no_grad():  # weights made in float32, compared in float64: what differs is the weights, not rounding
        y, z = copy.deepcopy(model).double()(images), copy.deepcopy(built).double()(images)
    assert sum(p.numel() for p in built.parameters()) == planned.params
    assert relative(y[:1], y[1:]) > 1e-3  # an output that depends on the image
    return built, relative(y, z)


@pytest.mark.parametrize("name", EXACT)
def test_widening_is_exact(name, target):
    model = lively(name)
    built, error = check(model, traced(name, 64), EvenChannels("up", 24), target)
    assert error < 1e-9
    assert sum(p.numel() for p in built.parameters()) > sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("name", ["mobilenetv2_100", "mnasnet_100", "mobilenetv3_large_100", "ghostnet_100"])
def test_dense_in_place_of_depthwise_is_exact(name, target):
    _, error = check(lively(name), traced(name, 64), DenseDepthwise(), target)
    assert error < 1e-9


@pytest.mark.parametrize(
    "name",
    [
        "rexnet_100",
        "mixnet_s",
        "skresnet18",  # kernels that are selected
        "ghostnetv3_050",
        "resnest14d",  # attention that splits
        "gcresnet50t",  # global context
        "resnetv2_50d_frn",  # a norm written in code
    ],
)
def test_code_that_holds_widths_follows(name, target):
    """Slices, splits and partial residuals at widths the module's code keeps as numbers."""
    _, error = check(lively(name), traced(name, 64), EvenChannels("up", 24), target)
    assert error < 1e-4


@pytest.mark.parametrize("name", ["test_efficientnet_evos", "convnextv2_atto"])
@pytest.mark.parametrize("transform", [EvenChannels("nearest", 48), DepthMultiplier(0.5)])
def test_norms_over_channels_in_code_are_narrowed(name, transform, target):
    """They would notice new channels, so none are added."""
    model = lively(name)
    built, _ = check(model, traced(name, 64), transform, target)
    assert sum(p.numel() for p in built.parameters()) < sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize(
    ("name", "transform"),
    [
        ("mobilenetv2_100", FuseIBN("blocks.1.*")),
        ("tf_efficientnet_b0", FuseIBN("blocks.[12].*")),
        ("rexnet_100", FuseIBN("features.1")),
        ("mobilenetv3_large_100", DepthMultiplier(0.75)),
        ("regnetx_004", DepthMultiplier(0.75)),
        ("ghostnet_100", DepthMultiplier(0.75)),
        ("convnext_atto", DepthMultiplier(0.75)),
    ],
)
def test_built_models_are_plain_timm(name, transform, target):
    built, _ = check(lively(name), traced(name, 64), transform, target)
    images = torch.randn(3, 3, 64, 64)
    built.train()
    built(images).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in built.parameters())
    built.eval()
    features = built.forward_features(images)
    assert features.shape[1] == built.num_features
    _, stages = built.forward_intermediates(images)
    info = getattr(built.feature_info, "info", built.feature_info)
    assert [s.shape[1] for s in stages] == [row["num_chs"] for row in info][-len(stages) :]
    pre_logits = built.forward_head(features, pre_logits=True)
    assert pre_logits.shape[1] == built.head_hidden_size
    built.reset_classifier(7)
    assert built(images).shape == (3, 7)


def test_outlook_attention_keeps_the_width_it_reads(target):
    """VOLO's code takes the number of channels that it unfolds from its input: other widths move, these do not."""
    model = VOLO(layers=(1, 1, 1, 1), embed_dims=(192, 384, 384, 384), num_heads=(6, 12, 12, 12)).eval()
    graph = trace(model, (3, 224, 224))
    planned = rewrite(graph, plan := DepthMultiplier(0.75).plan(graph, target))
    assert planned.params < graph.params
    build(model, graph, [plan])  # compares what it traces with the plan


def test_blur_has_its_filter_for_new_channels_too(target):
    """The filter is a constant: a new channel must be blurred like any other once something is learned there."""
    model = timm.create_model("resnetblur18").eval()
    graph = trace(model, (3, 64, 64))
    built = build(model, graph, [EvenChannels("up", 96).plan(graph, target)])
    old, new = model.layer2[0].aa.filt, built.layer2[0].aa.filt
    assert len(new) == built.layer2[0].aa.channels > len(old)
    torch.testing.assert_close(new, old[:1].expand_as(new))


def test_separable_attention_splits_at_its_new_width(target):
    model = timm.create_model("mobilevitv2_050").eval()
    graph = trace(model, (3, 64, 64))
    built = build(model, graph, [DepthMultiplier(0.75).plan(graph, target)])
    attention = built.get_submodule("stages.2.1.transformer.0.attn")
    assert (
        attention.qkv_proj.out_channels
        == 1 + 2 * attention.embed_dim
        < model.get_submodule("stages.2.1.transformer.0.attn").qkv_proj.out_channels
    )


def test_a_map_without_a_name_of_its_own_is_counted(target):
    model = timm.create_model("tresnet_m").eval()
    graph = trace(model, (3, 64, 64))
    built = build(model, graph, [DepthMultiplier(0.75).plan(graph, target)])
    with torch.no_grad():
        maps = built.forward_intermediates(torch.zeros(1, 3, 64, 64))[1]
    assert [m.shape[1] for m in maps] == [row["num_chs"] for row in built.feature_info]


def test_width_in_front_of_a_head_with_layers_of_its_own_is_counted(target):
    model = timm.create_model("convformer_s18").eval()
    graph = trace(model, (3, 64, 64))
    built = build(model, graph, [DepthMultiplier(0.75).plan(graph, target)])
    with torch.no_grad():
        pooled = built.forward_head(built.forward_features(torch.zeros(1, 3, 64, 64)), pre_logits=True)
    assert pooled.shape[1] == built.head_hidden_size < model.head_hidden_size


def test_planned_and_built_have_the_same_figures(target):
    graph = traced("mobilenetv3_large_100", 64)
    plan = DepthMultiplier(0.5).plan(graph, target)
    planned, again = rewrite(graph, plan), trace(build(lively("mobilenetv3_large_100"), graph, [plan]), (3, 64, 64))
    assert (again.macs, again.params) == (planned.macs, planned.params)
    assert again.digest == planned.digest


def test_the_original_is_untouched(target):
    model = lively("mobilenetv2_100")
    before, flags = copy.deepcopy(model.state_dict()), [m.training for m in model.modules()]
    random = torch.get_rng_state()
    graph = traced("mobilenetv2_100", 64)
    plans = [t.plan(graph, target) for t in (FuseIBN("blocks.1.0"),)]
    build(model, graph, plans, smooth(4, 64, seed=1))
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert flags == [m.training for m in model.modules()]
    assert torch.equal(random, torch.get_rng_state())


def test_steps_add_up(target):
    """Several plans, each made on the graph the one before left."""
    model, graph = lively("mobilenetv2_100"), traced("mobilenetv2_100", 64)
    plans, now = [], graph
    for step in (FuseIBN("blocks.[12].*"), DepthMultiplier(0.75), EvenChannels("nearest", 16), DenseDepthwise()):
        plans.append(step.plan(now, target))
        now = rewrite(now, plans[-1])
    built = build(model, graph, plans, smooth(4, 64, seed=1))
    assert sum(p.numel() for p in built.parameters()) == now.params
    assert built(torch.randn(5, 3, 64, 64)).shape == (5, 1000)


def test_two_steps_give_the_weights_of_one(target):
    model, graph = lively("mobilenetv2_100"), traced("mobilenetv2_100", 64)
    images = smooth(4, 64, seed=1)
    once = build(model, graph, [FuseIBN("blocks.1.*").plan(graph, target)], images)
    first = FuseIBN("blocks.1.0").plan(graph, target)
    second = FuseIBN("blocks.1.1").plan(rewrite(graph, first), target)
    twice = build(model, graph, [first, second], images)
    assert all(torch.equal(a, b) for a, b in zip(once.state_dict().values(), twice.state_dict().values(), strict=True))


@pytest.mark.parametrize(
    ("cls", "segment", "width"),
    [(Residual, "stem", 21), (Residual, "expand", 40), (SqueezeExcite, "reduce", 9), (SqueezeExcite, "stem", 24),
     (Grouped, "stem", 24), (Grouped, "grouped", 48)],
)  # fmt: skip
def test_any_module_can_be_widened(cls, segment, width):
    torch.manual_seed(0)
    model = cls().eval()
    graph, x = trace(model, (3, 32, 32)), torch.randn(2, 3, 32, 32)
    built = build(model, graph, [Plan((Resize(segment, width),))])
    with torch.no_grad():
        assert relative(model(x), built(x)) < 1e-5


def test_code_that_cannot_follow_is_refused():
    """The width of a slice written in a module nobody has a rule for."""
    model = PartialResidual().eval()
    graph = trace(model, (3, 32, 32))
    with pytest.raises(SurgeryError, match=r"does not run as planned|differs from the plan"):
        build(model, graph, [Plan((Resize("stem", 12),))])


def test_strides_change():
    model = Residual().eval()
    graph = trace(model, (3, 32, 32))
    stem = next(op.name for op in graph.ops if op.module == "stem")
    built = build(model, graph, [Plan((SetSpatial(stem, stride=(1, 1)),))])
    assert built.stem.stride == (1, 1)


def test_modules_taken_out():
    model = timm.create_model("resnet18").eval()
    graph = trace(model, (3, 64, 64))
    op = next(op for op in graph.ops if op.module == "layer1.0.act1")
    built = build(model, graph, [Plan((RemoveModule(op.module, (op.name,)),))])
    assert isinstance(built.layer1[0].act1, torch.nn.Identity)


@pytest.mark.parametrize(
    ("edit", "error", "words"),
    [
        (Compress("conv2d", (("method", "fold"),)), UnknownName, "unknown compression method 'fold'"),
        (Resize("stam", 8), UnknownName, "stem"),
    ],
)
def test_what_surgery_cannot_do_it_says(edit, error, words):
    model = Residual().eval()
    with pytest.raises(error, match=words):
        build(model, trace(model, (3, 32, 32)), [Plan((edit,))])


def test_a_class_without_a_builder_is_refused():
    model, graph = lively("mobilenetv2_100"), traced("mobilenetv2_100", 64)
    block = next(block for block in graph.blocks if block.name == "blocks.1.1")
    project = graph.by_name[block.ops[-2]]
    edit = ReplaceBlock(
        block.name, "timm.layers.UniversalResidual", block.ops, (replace(project, inputs=(block.input,)),)
    )
    with pytest.raises(SurgeryError, match=r"blocks\.1\.1: no way is known to build a timm\.layers\.UniversalResidual"):
        carry_out(copy.deepcopy(model), graph, [Plan((edit,))], None)


def test_every_edit_is_carried_out_on_modules():
    """Another input size changes no weight."""
    assert {*_CHANGES, *_REPLACEMENTS, SetInput} == set(get_args(Edit))
