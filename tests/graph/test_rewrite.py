"""Editing a graph gives the graph that tracing the edited network gives."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from workbench.errors import NotApplicable, UnknownName
from workbench.graph import ExchangeLayer, Graph, Op, Plan, RemoveModule, Resize, SetInput, SetSpatial, rewrite
from workbench.graph.trace import trace

from .networks import Concat, Grouped, PartialResidual, Residual, SqueezeExcite

GRAPHS = {cls: trace(cls(), (3, 32, 32)) for cls in (Residual, Concat, PartialResidual, SqueezeExcite, Grouped)}
SEGMENTS = {
    Residual: {"trunk": "stem", "hidden": "expand"},
    Concat: {"left": "left", "right": "right"},
    SqueezeExcite: {"width": "stem", "reduced": "reduce"},
}
widths = st.integers(1, 70)


@pytest.mark.parametrize("cls", list(SEGMENTS))
@settings(max_examples=8, deadline=None)
@given(a=widths, b=widths)
def test_resized_equals_rebuilt(cls, a, b):
    names = dict(zip(SEGMENTS[cls], (a, b), strict=True))
    plan = Plan(tuple(Resize(SEGMENTS[cls][key], width) for key, width in names.items()))
    assert rewrite(GRAPHS[cls], plan) == trace(cls(**names), (3, 32, 32))


def test_partial_residual_and_groups_equal_rebuilt():
    graph = GRAPHS[PartialResidual]
    first, more = graph.channels.layout[next(op.name for op in graph.ops if op.module == "body")].segments
    assert rewrite(graph, Plan((Resize(first, 7), Resize(more, 20)))) == trace(PartialResidual(7, 20), (3, 32, 32))
    plan = Plan((Resize("stem", 24), Resize("grouped", 48)))
    assert rewrite(GRAPHS[Grouped], plan) == trace(Grouped(24), (3, 32, 32))


def test_input_size_equals_traced_at_that_size():
    assert rewrite(GRAPHS[Residual], Plan((SetInput((3, 48, 40)),))) == trace(Residual(), (3, 48, 40))


def test_slices_of_pixels_are_not_guessed():
    class Cropped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3, padding=1)

        def forward(self, x: Tensor) -> Tensor:
            return self.conv(x)[:, :2, 4:-4]

    graph, plan = trace(Cropped(), (3, 16, 16)), Plan((SetInput((3, 32, 32)),))
    assert rewrite(graph, plan) == trace(Cropped(), (3, 32, 32))
    with pytest.raises(NotApplicable, match="its slice of 16 is written for one input size"):
        rewrite(replace(graph, origin=None), plan)


def test_stride_changes_what_follows():
    graph = GRAPHS[Residual]
    stem = next(op.name for op in graph.ops if op.module == "stem")
    edited = rewrite(graph, Plan((SetSpatial(stem, stride=(1, 1)),)))
    assert edited.by_name[stem].shape == (1, 16, 32, 32)
    assert edited.macs > 3 * graph.macs


def test_untouched_operators_are_shared():
    graph = GRAPHS[Residual]
    edited = rewrite(graph, Plan((Resize("expand", 32),)))
    same = [op for op in edited.ops if op is graph.by_name[op.name]]
    assert len(same) >= len(graph.ops) - 5
    assert rewrite(graph, Plan((Resize("expand", 24),))) is graph


def test_removing_a_module_rewires():
    graph = GRAPHS[Residual]
    relu = next(op for op in graph.ops if op.kind == "relu")
    edited = rewrite(graph, Plan((RemoveModule(relu.module, (relu.name,)),)))
    assert isinstance(edited, Graph)
    assert relu.name not in edited.by_name
    assert len(edited.ops) == len(graph.ops) - 1


def test_replaced_layer_keeps_its_consumers():
    graph = GRAPHS[Residual]
    relu = next(op for op in graph.ops if op.kind == "relu")
    swish = Op("swish", "silu", relu.inputs, relu.shape, module=relu.module)
    edited = rewrite(graph, Plan((ExchangeLayer(relu.name, swish),)))
    assert edited.by_name[relu.name].kind == "silu"


@pytest.mark.parametrize(
    ("edit", "error", "words"),
    [
        (Resize("stam", 8), UnknownName, "stem"),
        (Resize("head", 8), NotApplicable, "output"),
        (Resize("stem", 0), NotApplicable, "nearest is 1"),
        (SetSpatial("no_such_op", stride=(1, 1)), UnknownName, "nearest"),
    ],
)
def test_edits_that_do_not_fit_say_why(edit, error, words):
    with pytest.raises(error, match=words):
        rewrite(GRAPHS[Residual], Plan((edit,)))


def test_widths_that_break_groups_name_the_multiple():
    with pytest.raises(NotApplicable, match="multiples of 4 only, the nearest is 16"):
        rewrite(GRAPHS[Grouped], Plan((Resize("stem", 18),)))
