"""Whatever steps are taken one after another: what is built is what was planned, and still a model that runs."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.errors import NotApplicable
from workbench.graph import rewrite
from workbench.surgery import build
from workbench.transforms import (
    ClusterWeights,
    DenseDepthwise,
    DepthMultiplier,
    DropBlock,
    EvenChannels,
    ExpandRatio,
    FuseIBN,
    InputSize,
    KernelSize,
    OutputStride,
    RemoveSE,
    ReplaceActivation,
    Sparsify,
)

from ..graph.zoo import lively, traced

NETWORKS = ("mobilenetv3_small_050", "regnety_002", "repghostnet_050")
PARTS = st.sampled_from(["*", "*[index>=6]", "*[resolution<=8]", "*[stride==1]", "*[kind!=conv]"])
STEPS = st.one_of(
    st.builds(FuseIBN, PARTS),
    st.builds(EvenChannels, st.sampled_from(["nearest", "up", "down", "cost"]), st.sampled_from([8, 12, 16]), PARTS),
    st.builds(DepthMultiplier, st.sampled_from([0.5, 0.75, 1.25]), PARTS),
    st.builds(ExpandRatio, st.sampled_from([1.5, 3, 5]), PARTS),
    st.builds(DenseDepthwise, PARTS),
    st.builds(KernelSize, st.sampled_from([3, 5, 7]), PARTS),
    st.builds(ReplaceActivation, st.sampled_from(["relu6", "silu"]), st.just(("relu", "hard_swish")), PARTS),
    st.builds(RemoveSE, PARTS),
    st.builds(DropBlock, PARTS),
    st.builds(InputSize, st.sampled_from([64, 65, 96])),
    st.builds(OutputStride, st.sampled_from([8, 16])),
    st.builds(Sparsify, st.sampled_from([0.5]), st.sampled_from(["unstructured", "2:4", "structured"]), PARTS),
    st.builds(ClusterWeights, st.sampled_from([8]), PARTS),
)


@pytest.mark.parametrize("name", NETWORKS)
@settings(max_examples=6, deadline=None, derandomize=True)
@given(steps=st.lists(STEPS, min_size=1, max_size=5))
def test_what_is_built_is_what_was_planned(name, steps, target):
    model, graph = lively(name), traced(name, 64)
    plans, now = [], graph
    for step in steps:
        try:
            plan = step.plan(now, target)
            now = rewrite(now, plan)
        except NotApplicable:
            continue
        plans.append(plan)
    built = build(model, graph, plans)  # compares operators, shapes and parameters with the plan
    with torch.no_grad():
        output = built(torch.randn(2, *now.inputs[0].shape[1:], generator=torch.Generator().manual_seed(0)))
    assert output.shape == (2, *now.by_name[now.outputs[0]].shape[1:])
    assert output.isfinite().all()
