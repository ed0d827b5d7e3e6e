"""Findings name a block, their numbers are those of the estimate, and what they say mends it does."""

import workbench as wb

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
