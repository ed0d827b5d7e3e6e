"""Findings name a block, their numbers are those of the estimate, and what they say mends it does."""

import pytest

import workbench as wb
from workbench.advice import block_words, causes, headline, live_bytes, live_steps, untrained_badge
from workbench.advice.findings import suspected
from workbench.errors import UnknownName
from workbench.graph.blocks import BLOCK_KINDS
from workbench.metrics import metric_text

from ..graph.zoo import lively


def test_each_mend_applies_to_its_block(session, gated):
    for each in (session, gated):
        table = each.findings()
        assert list(table.columns) == ["severity", "rule", "block", "share", "finding", "mend"]
        assert len(table) > 5
        assert table.share.is_monotonic_decreasing
        for row in table[table.mend.notna()].itertuples():
            assert row.block in getattr(row.mend, "blocks", row.block)
            assert each.apply(row.mend).graph != each.graph
        assert set(table.block) <= {block.name for block in each.graph.blocks}


def test_severity_follows_the_share(session):
    table = session.findings()
    assert set(table[table.share >= 0.1].severity) <= {"high"}
    assert set(table[table.share < 0.02].severity) <= {"low"}


def test_even_networks_have_no_uneven_widths(session):
    uneven = session.findings().query("rule == 'uneven width'")
    evened = session.apply(wb.EvenChannels("up")).findings().query("rule == 'uneven width'")
    assert len(uneven) > 0
    assert len(evened) == 0


def test_gates_of_efficientnet(session, gated):
    found = gated.findings()
    gates = found[found.rule == "gate"]
    assert len(gates) > 8
    removed = gated.apply(wb.RemoveSE()).findings()
    assert "gate" not in set(removed.rule)
    assert "gate" not in set(
        wb.open(lively("mobilenetv2_100"), target="ethos-u85-256", input_size=(3, 96, 96)).findings().rule
    )


def test_the_share_is_that_of_the_estimate(session):
    idle = session.findings().query("rule == 'idle array'").iloc[0]
    ops = session.estimate.ops
    depthwise = [op.name for op in session.graph.ops if op.is_depthwise]
    took = ops[(ops.block == idle.block) & ops.name.isin(depthwise)].latency_ms.sum()
    assert abs(idle.share - took / session.estimate.latency_ms) < 1e-9


def test_a_peak_one_block_owns():
    session = wb.open(lively("mobilenetv2_100"), target="ethos-u55-128", input_size=(3, 96, 96))
    peak = session.findings().query("rule == 'memory peak'").iloc[0]
    top = session.estimate.memory_timeline.sort_values("live_bytes").iloc[-1]
    assert peak.block == session.estimate.ops.set_index("name").block[top.op]
    mended = session.apply(peak.mend)
    assert mended.estimate.peak_activation_bytes < session.estimate.peak_activation_bytes


def test_operators_left_to_the_cpu_are_said_first():
    session = wb.open(lively("mobilevitv2_050"), target="ethos-u55-128", input_size=(3, 256, 256))
    if session.estimate.cpu_ops:
        assert set(session.findings().iloc[: len(session.estimate.cpu_ops)].rule) == {"left to the CPU"}


def test_two_permutes_of_mobilevit_are_named():
    """A third of the network moves values to other places and computes nothing."""
    session = wb.open("mobilevit_s", target="ethos-u85-1024")
    moved = next(item for item in suspected(session) if item.rule == "data movement")
    ops = session.estimate.ops.query("block == 'stages.2.1' and kind == 'permute'")
    outside = ops[ops.bound == "dram"]
    took, of_them = (metric_text("latency_ms", table.latency_ms.sum()) for table in (ops, outside))
    assert moved.block == "stages.2.1" and moved.share > ops.latency_ms.sum() / session.estimate.latency_ms > 0.3
    assert f"its {len(ops)} permutes compute nothing and take {took}, {len(outside)} of them {of_them}" in moved.text
    first = headline(session)
    total = metric_text("latency_ms", session.estimate.latency_ms)
    assert first.startswith(f"{total}. One block, stages.2.1 (MobileViT block), takes ")
    assert "permutes, which compute nothing, wait for DRAM" in first


def test_a_mend_gains_what_is_said(session, gated):
    for each in (session, gated):
        for item in causes(each):
            if item.mend is None:
                assert item.gain_ms == item.gain_bytes == 0
                continue
            after = each.apply(item.mend)
            assert after.graph == item.graph
            if item.rule == "memory peak":
                less = each.estimate.peak_activation_bytes - after.estimate.peak_activation_bytes
                assert less == item.gain_bytes > 0
            else:
                assert abs(each.estimate.latency_ms - after.estimate.latency_ms - item.gain_ms) < 1e-3
                assert item.gain_ms > 0


def test_layers_that_wait_for_flash():
    session = wb.open("mobilenetv2_050", target="ethos-u55-128", input_size=(3, 64, 64))
    waiting = next(item for item in suspected(session) if item.rule == "bound by flash")
    ops = session.estimate.ops.query(
        f"block == {waiting.block!r} and bound == 'flash' and kind in ('conv2d', 'linear')"
    )
    assert abs(waiting.share - ops.latency_ms.sum() / session.estimate.latency_ms) < 1e-9
    assert "of weights" in waiting.text
    assert "their layers wait for weights in flash" in headline(session)


def test_why_names_parts_causes_and_mends(session):
    text = session.why("blocks.1.0")
    row = session.blocks.set_index("name").loc["blocks.1.0"]
    assert text.startswith(f"blocks.1.0 (ibn) takes {metric_text('latency_ms', row.latency_ms)}, ")
    assert "1x1 convolutions" in text
    for row in session.findings().query("block == 'blocks.1.0'").itertuples():
        assert row.finding[4:] in text
    with pytest.raises(UnknownName, match=r"unknown block 'blocks\.1\.9'; the nearest is 'blocks"):
        session.why("blocks.1.9")


def test_the_first_sentence_of_devices_nobody_measured(session):
    assert "is not calibrated" in headline(session.on("onnxruntime-cpu"))


def test_blocks_are_named_for_what_they_are(session):
    assert {block_words(session.graph, block) for block in session.graph.blocks} <= set(BLOCK_KINDS)
    vit = wb.open("test_vit", target="ethos-u65-512")
    words = [block_words(vit.graph, block) for block in vit.graph.blocks]
    assert "transformer block" in words and "other" not in words


def test_every_step_names_the_tensors_alive(session):
    steps = live_steps(session.graph, session.estimate)
    assert max(step.live_bytes for step in steps) == session.estimate.peak_activation_bytes
    assert [step.op for step in steps] == list(session.estimate.memory_timeline.op)
    top = max(steps, key=lambda step: step.live_bytes)
    assert top.tensors[0][1] >= top.tensors[-1][1] > 0 and sum(size for _, size in top.tensors) == top.live_bytes
    assert set(live_bytes(session.graph, session.estimate)) == {step.block for step in steps}


def test_the_badge_of_untrained_weights():
    fresh = wb.open("test_resnet", target="ethos-u65-512", input_size=(3, 32, 32))
    assert untrained_badge(fresh) == (
        "The weights are untrained, so no loss is predicted; plans keep the most arithmetic."
    )
    assert untrained_badge(fresh.with_weights(lively("test_resnet"))) == ""
