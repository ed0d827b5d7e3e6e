"""Weights travel with the session: learned, given, carried on by later steps, taken back by undo, saved."""

import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

import workbench as wb
from workbench.errors import FileFormatError, InputError
from workbench.report import compare_table, page
from workbench.training import Detection, Detector, Segmentation, Segmenter
from workbench.training.embedded import RoomBoxes, RoomMasks, Rooms

from .training.networks import small

FAST = {"learning_rate": 1e-2, "batch_size": 32}


def outputs(session, images):
    with torch.inference_mode():
        return session.build()(images)


@pytest.fixture(scope="module")
def images():
    return torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def learned():
    return wb.open(small(), input_size=(3, 16, 16)).finetune("digits", epochs=5, **FAST)


def test_weights_are_carried_on_and_undo_brings_the_old_ones_back(learned, images):
    start = learned.undo()
    assert start.learned is None
    assert learned.evaluate("digits").value > 0.9 > 0.3 > start.evaluate("digits").value
    wider = learned.apply(wb.EvenChannels("up", multiple=20))
    assert wider.graph != learned.graph
    torch.testing.assert_close(outputs(wider, images), outputs(learned, images), rtol=1e-4, atol=1e-4)
    again = wider.finetune("digits", epochs=1, **FAST)
    assert torch.equal(outputs(again.undo(), images), outputs(wider, images))
    assert torch.equal(outputs(again.undo().undo(), images), outputs(learned, images))
    assert torch.equal(outputs(again.undo().redo(), images), outputs(again, images))
    assert list(again.history["transform"]) == [
        "opened",
        "weights of digits, 5 epochs",
        "EvenChannels(direction='up', multiple=20, blocks='*', importance='magnitude', sram_kib=None, model_kib=None)",
        "weights of digits, 1 epoch",
    ]


def test_a_score_says_how_sure_it_is_wherever_it_is_shown(learned):
    score = learned.evaluate("digits")
    low, high = score.interval
    last = learned.learned.epochs[-1]
    assert (last["score"], last["low"], last["high"], last["pictures"]) == (score.value, low, high, 359)
    text = f"{100 * score.value:.1f} % (95 %: {100 * low:.1f} to {100 * high:.1f} %, 359 pictures)"
    assert list(learned.history["score"]) == ["", text]
    row = learned.compare().loc["score"]
    assert (row["after"], row["figures"]) == (score.value, f"trained: {text}") and pd.isna(row["before"])
    assert text in compare_table(learned.undo(), learned).loc["Score", "after"] and text in page(learned)
    wider = learned.apply(wb.EvenChannels("up", multiple=20))
    assert "score" not in wider.compare().index  # it is not of this network
    difference = wider.evaluate("digits").against(score)
    assert not difference.significant and difference.text.startswith("no difference: ")
    assert score.against(learned.undo().evaluate("digits")).significant


def test_the_test_part_is_reported_on_and_not_chosen_on(learned):
    score = learned.evaluate("digits", part="test")
    assert (score.part, score.count) == ("test", 359) and "359 test pictures" in str(score)
    with pytest.raises(InputError, match=r"finetune chooses, and the test part is reported on, never chosen on"):
        learned.finetune("digits", part="test")
    with pytest.raises(InputError, match=r"unknown part to judge by 'tests'; the nearest is 'test'"):
        learned.evaluate("digits", part="tests")


def test_steps_after_learning_lose_less_when_batch_norms_are_estimated_again(learned):
    narrow = learned.apply(wb.DepthMultiplier(ratio=0.5))
    with_statistics = narrow.evaluate("digits").value
    bare = wb.open(narrow.build(), input_size=(3, 16, 16)).evaluate("digits").value
    assert with_statistics > bare
    assert narrow.finetune("digits", epochs=2, **FAST).evaluate("digits").value > with_statistics


def test_saved_and_loaded_to_the_bit(learned, images, tmp_path):
    session = learned.apply(wb.EvenChannels("up", multiple=20)).finetune("digits", epochs=1, **FAST)
    session = session.apply(wb.DepthMultiplier(ratio=0.75))
    back = wb.load(session.save(tmp_path / "tuned.wb"), model=small())
    assert back.history.equals(session.history)
    while True:
        assert torch.equal(outputs(back, images), outputs(session, images))
        if not session.changes:
            break
        back, session = back.undo(), session.undo()


def test_a_head_made_for_the_task_is_there_after_loading(tmp_path):
    session = wb.open("mobilenetv2_050", input_size=(3, 32, 32), task="digits")
    assert session.graph.by_name[session.graph.outputs[0]].shape == (1, 10)
    back = wb.load(session.save(tmp_path / "head.wb"))
    assert back.graph == session.graph
    with pytest.raises(InputError, match="a module of your own brings its head"):
        wb.open(small(), input_size=(3, 16, 16), task="digits")


FEW = Rooms(train=64, val=16, size=64)


@pytest.mark.parametrize(
    ("task", "kind", "shape"),
    [
        (Detection("rooms/detection", RoomBoxes(FEW)), Detector, (1, 10, 8, 8)),
        (Segmentation("rooms/segmentation", RoomMasks(FEW)), Segmenter, (1, 8, 16, 16)),
    ],
    ids=["detection", "segmentation"],
)
def test_boxes_and_masks_go_the_same_way(task, kind, shape, tmp_path):
    opened = wb.open("mobilenetv2_050", input_size=(3, 64, 64), task=task)
    assert isinstance(opened.build(), kind) and opened.graph.by_name[opened.graph.outputs[0]].shape == shape
    assert opened.estimate.complete  # nothing is left to the CPU
    edited = opened.apply(wb.FuseIBN(blocks="backbone.blocks.1.*"), wb.DepthMultiplier(0.75), wb.EvenChannels())
    assert edited.graph.by_name[edited.graph.outputs[0]].shape == shape
    learned = edited.finetune(task, epochs=1)
    found = learned.evaluate(task)
    assert found.metric == task.metric and found.value == pytest.approx(learned.learned.epochs[-1]["score"])
    back = wb.load(learned.save(tmp_path / "rooms.wb"))
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    assert isinstance(back.build(), kind) and torch.equal(outputs(back, images), outputs(learned, images))
    assert torch.equal(outputs(back.baseline, images), outputs(opened, images))
    with pytest.raises(InputError, match=r"has outputs of shape \(1, .*\), and digits needs 10"):
        learned.evaluate("digits")
    with pytest.raises(InputError, match=r"needs a map of .* gives it a head that fits"):
        wb.open("mobilenetv2_050", input_size=(3, 64, 64), task="digits").evaluate(task)


@pytest.mark.parametrize("transform", [wb.FuseIBN(), wb.DepthMultiplier(0.75), wb.EvenChannels(), wb.DenseDepthwise()])
@pytest.mark.parametrize("head", [Detector, Segmenter])
def test_heads_survive_surgery(head, transform):
    """The built module runs as planned (build compares the graphs), in training and at other batch sizes, too."""
    import timm

    module = head(timm.create_model("mobilenetv2_050"), classes=6)
    edited = wb.open(module, input_size=(3, 64, 96)).apply(transform).build()
    images = torch.randn(3, 3, 64, 96)
    assert type(edited) is head and edited(images).shape == module.eval()(images).shape
    maps = edited.backbone.forward_intermediates(images, indices=list(edited.neck.taps), intermediates_only=True)
    assert [one.shape[1] for one in maps] == [edited.backbone.feature_info[i]["num_chs"] for i in edited.neck.taps]
    edited.train()(images).sum().backward()


def test_backbones_without_maps_are_refused():
    with pytest.raises(InputError, match="does not hand out its intermediate maps"):
        Detector(small(), classes=3)


def test_weights_learned_elsewhere(learned, images, tmp_path):
    plain = wb.open(small(), input_size=(3, 16, 16)).apply(wb.EvenChannels("up", multiple=20))
    module = plain.build()
    with torch.no_grad():
        module.head.bias.add_(1)
    save_file(module.state_dict(), tmp_path / "mine.safetensors")
    for weights in (module, tmp_path / "mine.safetensors"):
        given = plain.with_weights(weights)
        assert torch.equal(outputs(given, images), module.eval()(images))
        assert torch.equal(outputs(given.undo(), images), outputs(plain, images))
    with pytest.raises(FileFormatError, match=r"a Small does not fit Small after 1 steps: 'stem.0.weight' has shape"):
        plain.with_weights(small())
    (tmp_path / "other.bin").write_bytes(b"")
    with pytest.raises(InputError, match=r"from \.safetensors files only"):
        plain.with_weights(tmp_path / "other.bin")


def test_pruned_weights_stay_pruned(learned):
    sparse = learned.apply(wb.Sparsify(0.5)).finetune("digits", epochs=2, **FAST)
    zeros = {name: float((w == 0).float().mean()) for name, w in sparse.build().state_dict().items() if w.dim() == 4}
    assert all(share >= 0.49 for share in zeros.values())
    assert sparse.evaluate("digits").value > 0.85
    wider = sparse.apply(wb.EvenChannels("up", multiple=20)).build()
    assert float((wider.body[0].weight == 0).float().mean()) >= 0.49


def test_estimates_follow_the_weights():
    """Weights of few values are stored in fewer bytes; the estimate of a session that was given them says so."""
    session = wb.open("mobilenetv2_050", target="ethos-u55-128", input_size=(3, 96, 96))
    module = session.build()
    with torch.no_grad():
        for weight in module.parameters():
            if weight.dim() == 4:
                weight.sign_()
    few = session.with_weights(module)
    assert few.estimate.latency_ms < 0.9 * session.estimate.latency_ms
    assert few.undo().estimate.latency_ms == session.estimate.latency_ms
    # asked of an edited graph first, too
    narrow = session.with_weights(module).apply(wb.DepthMultiplier(ratio=0.75))
    verified = narrow.verify()
    assert abs(narrow.estimate.latency_ms / verified.latency_ms - 1) < 0.05


def test_what_cannot_be_evaluated(learned):
    with pytest.raises(InputError, match="unknown dtype 'int4'; the nearest is 'int8'"):
        learned.evaluate("digits", dtype="int4")
    with pytest.raises(InputError, match="has 5 outputs, and digits needs 10"):
        wb.open(small(5), input_size=(3, 16, 16)).evaluate("digits")
