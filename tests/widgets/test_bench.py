"""The bench driven as the browser drives it: one command after another."""

from itertools import count

import pytest

import workbench as wb
from workbench.widgets import Bench, session_view


@pytest.fixture
def bench(session):
    return Bench(session)


@pytest.fixture
def send(bench):
    ids = count(1)

    def send(action, transform=None, **params):
        step = {} if transform is None else {"transform": transform, "params": params}
        command = {"id": next(ids), "action": action, **step}
        bench.command = command
        assert bench.done == command["id"]

    return send


def test_it_shows_the_session(bench, session):
    assert bench.session is session
    assert bench.view == session_view(session)


def test_apply_is_the_session_s_apply(bench, send, session):
    send("apply", "FuseIBN", blocks="blocks.1.*")
    assert bench.session == session.apply(wb.FuseIBN(blocks="blocks.1.*"))
    assert bench.view == session_view(bench.session)
    assert not bench.failed
    assert bench.status.startswith("FuseIBN(blocks='blocks.1.*') gave ")


def test_undo_gives_back_the_same_numbers_and_redo_the_step(bench, send, session):
    send("apply", "DepthMultiplier", ratio=0.5)
    after = bench.session
    send("undo")
    assert bench.session.estimate == session.estimate
    assert bench.view["totals"] == session_view(session)["totals"] and bench.view["can_redo"]
    send("redo")
    assert bench.session == after


def test_a_preview_changes_nothing(bench, send, session):
    send("preview", "DepthMultiplier", ratio=0.5)
    assert bench.session is session
    wanted = session.apply(wb.DepthMultiplier(0.5))
    assert bench.preview["totals"]["params"]["value"] == wanted.graph.params
    assert bench.status.startswith("DepthMultiplier(ratio=0.5) would give ")
    send("apply", "DepthMultiplier", ratio=0.5)
    assert bench.preview == {}


@pytest.mark.parametrize(
    ("action", "transform", "params", "says"),
    [
        ("apply", "FuseIBN", {"blocks": "bloks.1.*"}, "the nearest is 'blocks.1."),
        ("apply", "FuseIBN", {"blocks": "conv_stem"}, "conv_stem"),
        ("preview", "DepthMultiplier", {"ratio": 0}, "above 0"),
        ("apply", "DepthMultiplier", {"ratio": "wide"}, "'ratio' is 'wide'"),
        ("apply", "DepthMultiplier", {"ration": 0.5}, "'ratio'"),
        ("apply", "FuseIBM", {}, "'FuseIBN'"),
        ("apply", None, {}, "unknown transform None"),
        ("undo", None, {}, "nothing to undo"),
        ("redo", None, {}, "nothing to redo"),
        ("explode", None, {}, "unknown action 'explode'"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_sentence(bench, send, session, action, transform, params, says):
    view = bench.view
    if transform is None:
        send(action)
    else:
        send(action, transform, **params)
    assert bench.failed and says in bench.status
    assert "\n" not in bench.status and bench.status.endswith(".")
    assert bench.session is session and bench.view == view
    send("apply", "DepthMultiplier", ratio=0.5)
    assert not bench.failed


def test_another_session_can_be_put_in(bench, fused):
    bench.selection = ["blocks.1.0", "conv_stem"]
    bench.session = fused
    assert bench.view == session_view(fused)
    assert bench.selection == ["blocks.1.0", "conv_stem"]


def test_two_benches_do_not_share(session):
    one, two = Bench(session), Bench(session)
    one.command = {"id": 1, "action": "apply", "transform": "DepthMultiplier", "params": {"ratio": 0.5}}
    assert two.session is session and two.view == session_view(session)


def test_its_repr_is_the_session_s(bench, session):
    assert repr(bench) == f"Bench({session!r})"


def test_weights_are_taken_back_and_put_again_like_any_change(session):
    """Undo after weights were learned says that weights, not the step before them, were taken back."""
    fused = session.apply(wb.FuseIBN(blocks="blocks.1.*"))
    for start in (session, fused):
        bench = Bench(start.with_weights(start.build()))
        bench.command = {"id": 1, "action": "undo"}
        assert not bench.failed and bench.session == start
        assert bench.status == "Took back weights of a EfficientNet."
        bench.command = {"id": 2, "action": "redo"}
        assert not bench.failed and bench.status == "Applied weights of a EfficientNet again."


def test_a_recipe_is_taken_back_by_its_name(session):
    bench = Bench(session.apply(wb.Recipe("mine", (wb.FuseIBN("blocks.1.*"), wb.DepthMultiplier(0.75)))))
    bench.command = {"id": 1, "action": "undo"}
    assert bench.session == session and bench.status == "Took back recipe 'mine'."
