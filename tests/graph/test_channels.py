"""Channel groups: what must move together does, what must not is frozen with a reason."""

from collections.abc import Callable

import pytest
import timm
import torch
from timm.layers.lambda_layer import LambdaLayer
from torch import Tensor, nn

from workbench.errors import NotApplicable
from workbench.graph import Plan, Resize, Segment, rewrite, source_channels
from workbench.graph.trace import trace

from .networks import Chunked, Concat, Grouped, PartialResidual, Residual, SqueezeExcite


def layout(graph, module):
    op = next(op for op in graph.ops if op.module == module and op.kind != "relu")
    return graph.channels.layout[op.name].segments


def test_residual_adds_share_one_segment():
    graph = trace(Residual(), (3, 32, 32))
    assert layout(graph, "stem") == layout(graph, "project") == layout(graph, "dense") == ("stem",)
    assert layout(graph, "expand") == layout(graph, "dw") == ("expand",)


def test_concat_keeps_parts_and_flatten_repeats_them():
    graph = trace(Concat(), (3, 32, 32))
    cat = next(op for op in graph.ops if op.kind == "concat")
    assert graph.channels.layout[cat.name].segments == ("left", "right")
    flat = next(op for op in graph.ops if op.kind == "reshape")
    assert graph.channels.layout[flat.name].repeat == 4


def test_partial_residual_cuts_a_segment():
    graph = trace(PartialResidual(10, 6), (3, 32, 32))
    widths = [graph.channels.segments[name].width for name in layout(graph, "body")]
    assert widths == [10, 6]
    assert layout(graph, "body")[0] == layout(graph, "stem")[0]


def test_gate_moves_with_what_it_multiplies():
    graph = trace(SqueezeExcite(), (3, 32, 32))
    assert layout(graph, "expand") == layout(graph, "stem")


def test_groups_bind_both_sides():
    graph = trace(Grouped(), (3, 32, 32))
    for name in ("stem", "grouped"):
        assert (graph.channels.segments[name].multiple, graph.channels.segments[name].chunks) == (4, 4)


def test_input_and_output_are_frozen():
    graph = trace(Residual(), (3, 32, 32))
    assert "output" in graph.channels.segments["head"].frozen
    assert all(segment.frozen for segment in graph.channels.segments.values() if segment.width in (3, 10))


def test_norm_over_channels_must_not_be_padded():
    class Normed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Conv2d(3, 8, 3)
            self.norm = nn.GroupNorm(1, 8)
            self.head = nn.Conv2d(8, 4, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.norm(self.stem(x)))

    segment = trace(Normed(), (3, 16, 16)).channels.segments["stem"]
    assert not segment.frozen
    assert "norm" in segment.no_pad


def test_reshape_that_mixes_channels_freezes_them():
    class Mixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Conv2d(3, 8, 3, padding=1)
            self.head = nn.Conv2d(16, 4, 1)

        def forward(self, x: Tensor) -> Tensor:
            x = self.stem(x)
            n, c, h, w = x.shape
            return self.head(x.reshape(n, 2 * c, h // 2, w))

    assert "reshape" in trace(Mixed(), (3, 16, 16)).channels.segments["stem"].frozen


class Taken(nn.Module):
    """A convolution whose channels a middle takes apart into equal parts."""

    def __init__(self, middle: Callable[[Tensor], Tensor], width: int = 8, output: int = 8) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, width, 3)
        self.head = nn.Conv2d(output * width // 8, 4, 1)
        self.middle = middle

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.middle(self.stem(x)))


def shuffled(x: Tensor) -> Tensor:
    n, c, h, w = x.shape
    return x.reshape(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)


def selected(x: Tensor) -> Tensor:
    n, c, h, w = x.shape
    x = x.reshape(n, 2, c // 2, h, w)
    return (x * x.mean((3, 4), keepdim=True).softmax(1)).sum(1)


def grouped_std(x: Tensor) -> Tensor:
    n, c, h, w = x.shape
    return x / x.reshape(n, 2, c // 2, h, w).var((2, 3, 4), keepdim=True).expand(n, 2, c // 2, h, w).reshape(x.shape)


def glanced(x: Tensor) -> Tensor:
    flat = x.flatten(2)
    return x + (flat @ flat.mean(1, keepdim=True).softmax(-1).transpose(1, 2)).unsqueeze(3)


@pytest.mark.parametrize(("middle", "output"), [(shuffled, 8), (selected, 4)])
def test_parts_that_meet_move_as_one(middle, output):
    """A channel shuffle, a choice between two halves: what happens to a channel of one half happens to the other's."""
    graph = trace(Taken(middle, output=output), (3, 16, 16))
    assert layout(graph, "stem") == ("stem", "stem")
    assert graph.channels.segments["stem"].width == 4
    edited = rewrite(graph, Plan((Resize("stem", 6),)))
    assert edited == trace(Taken(middle, 12, output), (3, 16, 16))


def test_parts_with_statistics_of_their_own_stay_whole():
    graph = trace(Taken(grouped_std), (3, 16, 16))
    segment = graph.channels.segments["stem"]
    assert (segment.width, segment.multiple, segment.chunks, segment.frozen) == (8, 2, 2, "")
    assert "groups" in segment.no_pad
    assert rewrite(graph, Plan((Resize("stem", 12),))) == trace(Taken(grouped_std, 12), (3, 16, 16))


def test_a_matrix_product_over_pixels_keeps_channels():
    graph = trace(Taken(glanced), (3, 16, 16))
    assert not graph.channels.segments["stem"].frozen
    assert rewrite(graph, Plan((Resize("stem", 12),))) == trace(Taken(glanced, 12), (3, 16, 16))


def test_one_channel_that_all_others_meet_stays_one():
    class Attended(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Conv2d(3, 8, 3)
            self.map = nn.Conv2d(8, 1, 1)
            self.head = nn.Conv2d(8, 4, 1)

        def forward(self, x: Tensor) -> Tensor:
            x = self.stem(x)
            return self.head(x * self.map(x).sigmoid())

    segments = trace(Attended(), (3, 16, 16)).channels.segments
    assert "one channel" in segments["map"].frozen
    assert not segments["stem"].frozen


def test_equal_parts_keep_one_width():
    graph = trace(Chunked(), (3, 16, 16))
    assert graph.channels.equal == (("stem", "stem:1"),)
    assert graph.channels.together(["stem", "left", "stem:1"]) == (("stem", "stem:1"), ("left",))
    assert graph.channels.together(["stem", "left"]) == (("left",),)
    left, right = Resize("stem", 12), Resize("stem:1", 12)
    assert rewrite(graph, Plan((left, right))).by_name[graph.ops[1].name].shape[1] == 24
    with pytest.raises(NotApplicable, match="cut as equal parts of one tensor and cannot have 12, 8 channels"):
        rewrite(graph, Plan((left,)))


def test_lambda_attention_keeps_the_width_it_reads():
    class Lambda(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Conv2d(3, 32, 3, 2, 1)
            self.layer = LambdaLayer(32, r=3)
            self.head = nn.Conv2d(32, 4, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.layer(self.stem(x)))

    assert "attention has as many" in trace(Lambda(), (3, 16, 16)).channels.segments["stem"].frozen


@pytest.mark.parametrize(
    "name", ["mobilenetv2_100", "rexnet_100", "ghostnet_100", "densenet121", "regnetx_004", "mixnet_s"]
)
def test_layouts_add_up_to_the_tensor(name):
    """On real models: a layout's widths times its repeat is the size of that axis, for every tensor."""
    with torch.device("meta"):
        model = timm.create_model(name)
    graph = trace(model.to_empty(device="cpu"), (3, 64, 64))
    channels = graph.channels
    for tensor, layout in channels.layout.items():
        widths = sum(channels.segments[s].width for s in layout.segments)
        assert widths * layout.repeat == graph.by_name[tensor].shape[layout.axis], tensor
    free = [s for s in channels.segments.values() if not s.frozen]
    assert len(free) > 0.8 * len(channels.segments)


def test_sources_respect_chunks_and_order():
    segment = Segment("conv", 8, chunks=2)
    assert source_channels(segment, 4, keep=(6, 1, 3, 4)) == (1, 3, 4, 6)
    with pytest.raises(ValueError, match="chunk 0"):
        source_channels(segment, 4, keep=(4, 5, 6, 7))
