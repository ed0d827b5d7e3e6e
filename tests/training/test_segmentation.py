"""Segmentation: the score against numpy, a loss that knows right from wrong, learning."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from workbench.errors import InputError
from workbench.training import Schedule, Segmentation, fit, resolve_task, score
from workbench.training.embedded import RoomMasks, Rooms
from workbench.training.rooms import CLASSES, STUFF
from workbench.training.sources import NO_CLASS

from .networks import small_segmenter

ROOMS = Rooms(train=64, val=24, size=64)
TASK = Segmentation("rooms/segmentation", RoomMasks(ROOMS))
SIZE = (3, 64, 64)


def mean_iou(found, truth, classes):
    """By hand, over all pixels that are asked for."""
    found, truth = (np.asarray(one)[np.asarray(truth) != NO_CLASS] for one in (found, truth))
    each = []
    for c in range(classes):
        either = ((found == c) | (truth == c)).sum()
        if either:
            each.append(((found == c) & (truth == c)).sum() / either)
    return float(np.mean(each))


def test_the_score_is_the_mean_over_classes_of_overlap_over_union():
    random = torch.Generator().manual_seed(0)
    scorer = TASK.scorer()
    found, truth = [], []
    for n in (5, 3):
        outputs = torch.randn(n, 8, 16, 16, generator=random)
        outputs[:, 5] = -50  # a class that is never said
        masks = torch.randint(0, 7, (n, 64, 64), generator=random)  # and one that is never there
        masks[torch.rand(masks.shape, generator=random) < 0.1] = NO_CLASS
        scorer.update(outputs, masks)
        found.append(functional.interpolate(outputs, (64, 64), mode="bilinear").argmax(1))
        truth.append(masks)
    assert scorer.compute() == pytest.approx(mean_iou(torch.cat(found), torch.cat(truth), 8), abs=1e-6)


def test_a_perfect_map_scores_one():
    _, masks = TASK.batch("val", np.arange(24), SIZE[1:])
    scorer = TASK.scorer()
    scorer.update(functional.one_hot(masks, 8).movedim(-1, 1).float(), masks)
    assert scorer.compute() == 1.0


def test_the_loss_is_least_where_the_map_is_right_and_leaves_out_what_is_not_asked():
    _, masks = TASK.batch("val", np.arange(8), SIZE[1:])
    perfect = 20 * functional.one_hot(masks, 8).movedim(-1, 1).float()
    assert TASK.loss(perfect, masks) < 1e-3 < 1 < TASK.loss(perfect.roll(1, 1), masks)
    half = masks.clone()
    half[:, 32:] = NO_CLASS
    spoilt = perfect.clone()
    spoilt[:, :, 32:] = 0
    torch.testing.assert_close(TASK.loss(spoilt, half), TASK.loss(perfect, half))
    assert torch.isfinite(TASK.loss(perfect, torch.full_like(masks, NO_CLASS)))
    assert TASK.distance(perfect, perfect) < 1e-6 < TASK.distance(0 * perfect, perfect)
    assert TASK.distance(perfect, perfect[..., ::2, ::2]) < TASK.distance(0 * perfect, perfect[..., ::2, ::2])


def test_masks_are_learned():
    before = small_segmenter(8)
    trained = fit(before, TASK, SIZE, Schedule(epochs=4, learning_rate=1e-2, batch_size=8))
    losses = [row["loss"] for row in trained.epochs]
    assert losses[-1] < 0.8 * losses[0]
    after = small_segmenter(8)
    after.load_state_dict(trained.state)
    assert score(after, TASK, SIZE).value == pytest.approx(trained.epochs[-1]["score"])
    assert trained.epochs[-1]["score"] > 2 * score(before, TASK, SIZE).value


def test_masks_of_other_sizes_hold_the_same_classes():
    _, small = TASK.batch("val", np.arange(3), (64, 64))
    _, large = TASK.batch("val", np.arange(3), (128, 192))
    assert large.shape == (3, 128, 192) and large.dtype == torch.int64
    assert torch.equal(large[:, ::2, 1::3], small)


def test_varied_pictures_keep_their_masks_with_them():
    images, masks = TASK.batch("train", np.arange(8), SIZE[1:])
    tinted = masks.to(torch.uint8)[:, None].expand(-1, 3, -1, -1) * 30  # a picture that shows its mask
    moved, there = TASK.varied(tinted, masks, torch.Generator().manual_seed(3))
    assert torch.equal(moved[:, 0], (there * 30).to(torch.uint8)) and not torch.equal(there, masks)
    assert there.dtype == torch.int64 and images.shape == moved.shape


def test_what_does_not_fit_is_told_before_anything_is_learned():
    with pytest.raises(InputError, match=r"small has outputs of shape \(2, 5, 16, 16\), .* needs a map of 8 channels"):
        fit(small_segmenter(5), TASK, SIZE, name="small")
    with pytest.raises(InputError, match=r"outputs of shape \(2, 8\)"):
        TASK.check(torch.zeros(2, 8), "a classifier")


def test_the_embedded_one():
    task = resolve_task("rooms/segmentation")
    assert (task.classes, task.head, task.metric) == (STUFF + CLASSES, "segmentation", "mIoU")
