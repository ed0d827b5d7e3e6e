"""Fused blocks are timm's EdgeResidual: the planned graph is the trace of one, names included."""

import pytest
import timm
import torch
import torch.nn.functional as F
from timm.models._efficientnet_blocks import EdgeResidual
from torch import nn

from workbench.errors import NotApplicable
from workbench.graph import rewrite
from workbench.graph.trace import trace
from workbench.transforms import FuseIBN

from ..graph.zoo import traced
from .bottlenecks import Bottleneck, Sliced, network, plain


def described(graph, path):
    """A block's operators without the names the exporter chose."""
    ops = [op for op in graph.ops if op.module == path or op.module.startswith(path + ".")]
    return [(op.kind, op.shape, op.attrs, op.params, op.module) for op in ops]


def test_planned_block_is_the_trace_of_timms_own(target):
    model = timm.create_model("efficientnet_b0")
    graph = trace(model, (3, 64, 64))
    fused = rewrite(graph, FuseIBN("blocks.1.1").plan(graph, target))
    old = model.blocks[1][1]
    new = EdgeResidual(24, 24, 3, exp_ratio=6, act_layer=torch.nn.SiLU, se_layer=None)
    new.se = old.se
    model.blocks[1][1] = new
    assert described(fused, "blocks.1.1") == described(trace(model, (3, 64, 64)), "blocks.1.1")
    assert next(b for b in fused.blocks if b.name == "blocks.1.1").kind == "fused-ibn"


@pytest.mark.parametrize("name", ["mobilenetv2_100", "tf_efficientnet_b0", "mobilenetv3_large_100"])
def test_macs_are_the_textbooks(name, target):
    graph = traced(name, 64)
    blocks = [block for block in graph.blocks if block.kind == "ibn"]
    fused = rewrite(graph, FuseIBN().plan(graph, target))
    for block in blocks:
        was = [op for op in graph.ops if op.name in block.ops and op.kind == "conv2d"]
        (new,) = [op for op in fused.ops if op.module == f"{block.name}.conv_exp" and op.kind == "conv2d"]
        size = was[1].shape[2] * was[1].shape[3]
        assert new.macs == size * block.width * block.mid_width * block.kernel**2


def test_patterns_pass_over_what_cannot_be_fused(mobilenet, target):
    plan = FuseIBN("*").plan(mobilenet, target)
    assert [edit.module for edit in plan.edits] == [b.name for b in mobilenet.blocks if b.kind == "ibn"]


def test_a_block_named_by_its_path_must_be_one(mobilenet, target):
    with pytest.raises(NotApplicable, match=r"blocks\.0\.0 \(depthwise-separable\) cannot be fused"):
        FuseIBN("blocks.0.0").plan(mobilenet, target)
    with pytest.raises(NotApplicable, match=r"blocks\.0\.0"):
        FuseIBN("blocks.1.*, blocks.0.0").plan(mobilenet, target)


def test_twice_does_not_apply(mobilenet, target):
    fused = rewrite(mobilenet, FuseIBN("blocks.1.0").plan(mobilenet, target))
    with pytest.raises(NotApplicable, match=r"blocks\.1\.0 \(fused-ibn\)"):
        FuseIBN("blocks.1.0").plan(fused, target)


def layers(graph, block):
    return [op for op in (graph.by_name[name] for name in block.ops) if op.kind == "conv2d"]


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("test_coatnet", 160),  # norms and pools before the expansion, convolutions in the shortcut
        ("test_maxvit", 160),
        ("test_efficientnet_gn", 64),  # norms without fixed statistics,
        ("test_efficientnet_ln", 64),  # between permutations,
        ("test_efficientnet_evos", 64),  # written out with their activation
        ("mixnet_s", 64),  # convolutions on slices, of several kernel sizes
        ("tf_mixnet_s", 64),
        ("rexnet_100", 64),  # the gate before the activation, the input added into some channels
    ],
)
def test_blocks_of_other_forms_are_fused_in_their_own_code(name, size, target):
    graph = traced(name, size)
    fused = rewrite(graph, FuseIBN().plan(graph, target))
    blocks = [block for block in graph.blocks if block.kind == "ibn"]
    now = {block.name: block for block in fused.blocks}
    assert blocks
    for block in blocks:
        new = now[block.name]
        assert (new.kind, new.residual, new.stride) == ("fused-ibn", block.residual, block.stride)
        assert (new.kernel, new.se) == (block.kernel, block.se)
        assert not any(op.is_depthwise for op in layers(fused, new))
        if new.cls != block.cls:
            continue  # an EdgeResidual
        (dense,) = [op for op in layers(fused, new) if max(op["kernel"]) > 1]
        read, old = fused.by_name[dense.inputs[0]], graph.by_name[dense.name]
        assert dense.shape == old.shape
        assert dense.macs == dense.elements * read.shape[1] * new.kernel**2
        first, last = (graph.ops.index(graph.by_name[name]) for name in (dense.name, block.output))
        assert all(fused.by_name[op.name].params == op.params for op in graph.ops[first + 1 : last])  # stays
    assert any(now[block.name].cls == block.cls for block in blocks)


def test_without_a_batch_norm_behind_it_the_dense_layer_has_a_bias(target):
    graph = traced("test_efficientnet_gn", 64)
    fused = rewrite(graph, FuseIBN("blocks.3.0").plan(graph, target))
    (dense,) = [op for op in fused.ops if op.module == "blocks.3.0.conv_dw"]
    assert [(p.role, p.shape) for p in dense.params] == [("weight", (128, 32, 3, 3)), ("bias", (128,))]


def test_a_padding_of_its_own_stays(target):
    _, graph = network(Bottleneck(lambda b, x: x + b.project(b.act2(b.even(b.pad(b.act(b.expand(x)))))), bias=True))
    fused = rewrite(graph, FuseIBN("1").plan(graph, target))
    assert [(op.kind, op.shape, op.module) for op in fused.ops[2:4]] == [
        ("pad", (1, 5, 13, 13), "1.pad"),
        ("conv2d", (1, 12, 12, 12), "1.even"),
    ]


@pytest.mark.parametrize(
    ("code", "rule"),
    [
        (lambda b, x: x + b.project(b.norm2(b.dw(b.act(b.expand(x))))), r"an activation must .* 1\.dw and 1\.project"),
        (lambda b, x: x + b.project(b.act2(b.dw(F.relu(b.expand(x))))), r"1 has the relu written into its code"),
        (lambda b, x: x + b.project(b.act(b.dw(b.act(b.expand(x))))), r"1\.act is called more than once"),
        (lambda b, x: b.project(b.act2(b.dw(h := b.act(b.expand(x)))) + h), r"1\.act must feed the depthwise .* alone"),
        (lambda b, x: b.project(b.act2(b.dw(b.pool(b.act(b.expand(x)))))), r"its avg_pool2d in 1\.pool stands between"),
        (lambda b, x: b.project(b.act2(b.dw(b.expand(x) + b.expand(x)))), r"2 convolutions lead to its depthwise one"),
    ],
)
def test_what_cannot_be_fused_says_why(code, rule, target):
    _, graph = network(Bottleneck(code))
    assert [block.kind for block in graph.blocks if block.name == "1"] == ["ibn"]
    with pytest.raises(NotApplicable, match=rule):
        FuseIBN().plan(graph, target)


def test_the_expansion_must_be_of_stride_1_and_the_weights_its_own(target):
    block = Bottleneck(lambda b, x: b.project(b.act2(b.dw(b.act(b.expand(x))))))
    block.expand = nn.Conv2d(5, 12, 1, stride=2)
    with pytest.raises(NotApplicable, match=r"its expansion 1\.expand must be a 1x1 convolution of stride 1"):
        FuseIBN().plan(network(block)[1], target)
    block = Bottleneck(plain)
    model, _ = network(block)
    model.append(nn.Conv2d(5, 12, 1, bias=False))
    model[2].weight = block.expand.weight
    with pytest.raises(NotApplicable, match=r"weights of (their own|1\.expand too)"):
        FuseIBN("1").plan(trace(model, (3, 12, 12)), target)


def test_kernels_on_slices_must_have_one_dilation(target):
    block = Bottleneck(lambda b, x: b.project(b.act2(b.dw(b.act(b.expand(x))))))
    block.dw = Sliced((3, 5))
    block.dw.parts[1].dilation, block.dw.parts[1].padding = (2, 2), (4, 4)
    with pytest.raises(NotApplicable, match=r"the kernels in 1\.dw must have one middle"):
        FuseIBN().plan(network(block)[1], target)


def test_no_block_at_all(target):
    with pytest.raises(NotApplicable, match="cannot be fused"):
        FuseIBN().plan(traced("resnet18", 64), target)


def test_the_activation_is_the_one_behind_the_depthwise(target):
    graph = traced("rexnet_100", 64)
    fused = rewrite(graph, FuseIBN("features.1").plan(graph, target))
    kinds = [op.kind for op in fused.ops if op.module.startswith("features.1.")]
    assert kinds == ["conv2d", "batch_norm", "relu6", "conv2d", "batch_norm"]
