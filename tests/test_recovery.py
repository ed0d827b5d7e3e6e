"""Edits that keep what was learned: each stage brings something, nothing is lost by an interruption."""

import pytest
import torch

import workbench as wb
from workbench.errors import InputError
from workbench.session.block_library import library_of
from workbench.session.recovery import EPOCHS, Distilled
from workbench.surgery import build_state
from workbench.surgery.library import fill
from workbench.surgery.local_choices import divided
from workbench.training import resolve_task

from .training.networks import bottlenecks, small

FAST = {"learning_rate": 1e-2, "batch_size": 32}
QUICK = {"pictures": 128, "distil": 20, "batch_size": 32}
EDITS = (wb.FuseIBN("blocks.1"), wb.DepthMultiplier(0.5))


@pytest.fixture(scope="module")
def learned():
    return wb.open(bottlenecks(), input_size=(3, 16, 16)).finetune("digits", epochs=4, **FAST)


def test_it_starts_from_the_block_library_where_that_holds_all_steps(learned):
    edited = learned.apply(wb.FuseIBN("blocks.1"), wb.DropBlock("blocks.2"))
    task, options = resolve_task("digits"), (QUICK["pictures"], QUICK["distil"])
    teacher = build_state(learned).to(memory_format=torch.channels_last)

    def distilled(state, progress=lambda *_: None):
        return Distilled.of(state, learned, teacher, task, *options, progress)

    library = library_of(learned, task, *options)
    choices, _, _ = divided(library.graph, edited.plans_since_learned)
    list(fill(library, choices[:1]))
    assert [row["stage"] for row in distilled(edited).stages] == ["fitted", "distilled"]
    list(fill(library, choices))
    parts = []

    def interrupt(part, done, total):
        parts.append(part)
        if parts.count("blocks.1") == 2:  # refitted, then distilled
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        distilled(edited, interrupt)
    resumed = distilled(edited)
    assert [row["stage"] for row in resumed.stages] == ["library", "distilled"]
    for file in (resumed.file.parent).glob("*"):
        file.unlink()
    assert equal(resumed.edited.module.state_dict(), distilled(edited).edited.module.state_dict())
    narrowed = edited.apply(wb.DepthMultiplier(0.5))  # reaches further
    assert distilled(narrowed).stages[0]["stage"] == "fitted"


def weights(session):
    return session.learned.weights


def equal(one, other):
    return all(torch.equal(value, other[key]) for key, value in one.items())


def test_every_stage_brings_something_and_the_session_says_what(learned, tmp_path):
    edited = learned.apply(*EDITS)
    cut = edited.evaluate("digits").value  # the same steps, as `build` carries them out
    recovered = edited.recover("digits", epochs=1, **QUICK)
    table = recovered.recovery
    assert list(table.stage) == ["before the edits", "fitted", "distilled", "taught"]
    before, fitted, distilled, taught = table.score
    assert before == pytest.approx(learned.evaluate("digits").value)
    assert cut < fitted <= distilled + 0.01 and distilled <= taught + 0.01 and taught > before - 0.05
    assert taught == pytest.approx(recovered.evaluate("digits").value) and (table.seconds >= 0).all()
    assert recovered.undo() == edited and recovered.graph == edited.graph
    assert list(recovered.history["transform"])[-1] == "weights of digits, 1 epoch"
    back = wb.load(recovered.save(tmp_path / "recovered.wb"), model=bottlenecks())
    assert back.recovery.equals(table) and equal(weights(back), weights(recovered))
    assert learned.recovery.empty and list(learned.recovery.columns) == ["stage", "score", "seconds"]


def test_without_epochs_it_is_fitted_and_distilled_and_the_next_call_goes_on_from_there(learned):
    edited = learned.apply(*EDITS)
    start = edited.recover("digits", epochs=0, **QUICK)
    assert list(start.recovery.stage) == ["before the edits", "fitted", "distilled"]
    assert start.recovery.score.iloc[-1] == pytest.approx(start.evaluate("digits").value)
    assert list(start.history["transform"])[-1] == "weights of digits, fitted"
    assert list(edited.recover("digits", epochs=1, **QUICK).recovery.score[:3]) == list(start.recovery.score)


def test_interrupted_between_blocks_it_goes_on_and_ends_with_the_same_weights(learned, tmp_path, monkeypatch):
    edited = learned.apply(*EDITS)
    task, calls = resolve_task("digits"), []

    def interrupt(part, done, total):
        calls.append(part)
        if calls.count("blocks.1") == 2:  # fitted, then distilled
            raise KeyboardInterrupt

    teacher = build_state(learned).to(memory_format=torch.channels_last)
    with pytest.raises(KeyboardInterrupt):
        Distilled.of(edited, learned, teacher, task, QUICK["pictures"], QUICK["distil"], interrupt)
    resumed = edited.recover(task, epochs=1, **QUICK)
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path))
    whole = edited.recover(task, epochs=1, **QUICK)
    assert equal(weights(resumed), weights(whole))
    assert list(resumed.recovery.score) == list(whole.recovery.score)


def test_a_network_without_blocks_of_its_own_is_fitted_and_taught():
    session = wb.open(small(), input_size=(3, 16, 16)).finetune("digits", epochs=3, **FAST)
    narrow = session.apply(wb.DepthMultiplier(0.75))
    recovered = narrow.recover("digits", epochs=1, pictures=128, distil=0, batch_size=32)
    assert list(recovered.recovery.stage) == ["before the edits", "fitted", "taught"]
    assert recovered.evaluate("digits").value > narrow.evaluate("digits").value


def test_weights_that_never_learned_the_task_learn_it_first(learned, tmp_path):
    from safetensors.torch import save_file

    save_file(learned.build().state_dict(), tmp_path / "elsewhere.safetensors")
    opened = wb.open(bottlenecks(), input_size=(3, 16, 16), checkpoint=tmp_path / "elsewhere.safetensors")
    tuned = opened.apply(wb.DepthMultiplier(0.75)).finetune("digits", epochs=1, **FAST)
    assert list(tuned.recovery.stage) == ["unedited network learned", "fitted", "distilled", "taught"]
    assert len(tuned.learned.epochs) == EPOCHS
    plain = opened.finetune("digits", epochs=1, **FAST)
    assert plain.recovery.empty and tuned.recovery.score[0] == pytest.approx(plain.evaluate("digits").value)


def test_what_cannot_be_recovered_is_told_before_anything_is_done(learned):
    with pytest.raises(InputError, match="nothing to recover: no step has been applied since weights were learned"):
        learned.recover("digits")
    edited = learned.apply(wb.DepthMultiplier(0.75))
    with pytest.raises(InputError, match="pictures is 4; it must be a whole number of at least 8"):
        edited.recover("digits", pictures=4)
    with pytest.raises(InputError, match="unknown option of training 'rate'"):
        edited.recover("digits", rate=1)
