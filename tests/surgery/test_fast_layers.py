"""Faster layers: PyTorch's own outputs, gradients and statistics, on modules that are plain before and afterwards."""

import contextlib
import copy

import pytest
import torch
from timm.layers import BatchNormAct2d
from timm.layers.conv2d_same import Conv2dSame
from torch import nn

from workbench.surgery.fast_layers import fast_layers


def depthwise(kernel, stride=1, kind=nn.Conv2d, **options):
    if kind is nn.Conv2d:
        sides = (kernel, kernel) if isinstance(kernel, int) else kernel
        options["padding"] = tuple(side // 2 for side in sides)
    return kind(24, 24, kernel, stride, groups=24, **options)


LAYERS = {
    "5": lambda: depthwise(5, bias=False),
    "5, stride 2, bias": lambda: depthwise(5, 2),
    "7": lambda: depthwise(7, bias=False),
    "3 by 5": lambda: depthwise((3, 5), bias=False),
    "5 by 3": lambda: depthwise((5, 3), bias=False),
    "same 3, stride 2": lambda: depthwise(3, 2, Conv2dSame, bias=False),
    "same 5, stride 2, bias": lambda: depthwise(5, 2, Conv2dSame),
    "same 5": lambda: depthwise(5, 1, Conv2dSame, bias=False),
    "same 1, stride 2": lambda: depthwise(1, 2, Conv2dSame, bias=False),
    "norm": lambda: BatchNormAct2d(24, act_layer=nn.ReLU6),
    "ReLU6": lambda: nn.Sequential(nn.Conv2d(24, 24, 1), nn.ReLU6(inplace=True)),
    "dense": lambda: nn.Conv2d(24, 32, 3),
    "grouped": lambda: nn.Conv2d(24, 24, 5, groups=12),
}


def layer(name):
    torch.manual_seed(0)
    return nn.Sequential(LAYERS[name]())


def answers(module, x):
    """Outputs, and the gradients of the input and of the parameters."""
    x = x.clone().requires_grad_()
    y = module(x)
    weights = torch.arange(y.numel(), dtype=y.dtype).view(y.shape).sin()
    return [y, *torch.autograd.grad((y * weights).sum(), [x, *module.parameters()])]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("size", [(12, 12), (13, 10)])
@pytest.mark.parametrize("name", LAYERS)
def test_outputs_and_gradients_are_those_of_pytorch(name, size, training):
    module = layer(name).train(training)
    reference = copy.deepcopy(module).double()  # PyTorch's, in twice the precision
    x = 3 * torch.randn(4, 24, *size) + 1
    with fast_layers(module):
        ours = answers(module, x)
    for mine, exact in zip(ours, answers(reference, x.double()), strict=True):
        torch.testing.assert_close(mine.double(), exact, rtol=1e-4, atol=1e-4)
    for mine, exact in zip(module.state_dict().values(), reference.state_dict().values(), strict=True):
        torch.testing.assert_close(mine.double(), exact.double(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", LAYERS)
def test_the_module_is_plain_afterwards(name):
    module = layer(name)
    parameters, keys = list(module.parameters()), list(module.state_dict())
    with contextlib.suppress(KeyError), fast_layers(module):
        assert all(a is b for a, b in zip(module.parameters(), parameters, strict=True))
        raise KeyError  # whatever happens within
    assert list(module.state_dict()) == keys
    assert not any("forward" in vars(inner) for inner in module.modules())
    assert all(p.is_contiguous() for p in module.parameters())
    assert all(a is b for a, b in zip(module.parameters(), parameters, strict=True))


def test_which_layers_are_faster():
    fast = {"5", "5, stride 2, bias", "7", "3 by 5", "norm", "ReLU6", *(name for name in LAYERS if name[:4] == "same")}
    for name in LAYERS:
        module = layer(name)
        with fast_layers(module):
            assert any("forward" in vars(inner) for inner in module.modules()) == (name in fast), name


def test_other_numbers_and_passes_without_gradients_take_pytorchs_way():
    for name in LAYERS:
        module = layer(name).double()
        x = torch.randn(2, 24, 12, 12, dtype=torch.float64)
        plain = answers(copy.deepcopy(module), x)
        with fast_layers(module):
            assert all(torch.allclose(a, b, rtol=1e-12) for a, b in zip(answers(module, x), plain, strict=True))
            with torch.inference_mode():
                module.eval()(x)


def test_copies_made_within_are_of_their_own_layers():
    module = layer("norm")
    with fast_layers(module):
        twin = copy.deepcopy(module)
        twin(torch.randn(2, 24, 4, 4))
    assert twin[0].num_batches_tracked == 1
    assert module[0].num_batches_tracked == 0


def test_the_same_bits_each_time():
    x = torch.randn(4, 24, 12, 12)
    for name in LAYERS:
        modules = layer(name), layer(name)
        with fast_layers(*modules):
            one, other = (answers(module, x) for module in modules)
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True)), name
