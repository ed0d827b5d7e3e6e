"""Detection: scores against figures by hand, a loss that knows right from wrong, learning."""

import numpy as np
import pytest
import torch

from workbench.errors import InputError
from workbench.training import Detection, Schedule, fit, resolve_task, score, score_with
from workbench.training.embedded import RoomBoxes, Rooms
from workbench.training.rooms import CLASSES

from .networks import small_detector

ROOMS = Rooms(train=64, val=24, size=64)
TASK = Detection("rooms/detection", RoomBoxes(ROOMS))
SIZE = (3, 64, 64)


def ideal(boxes, labels, grid=(8, 8)):
    """A perfect map of six classes."""
    from workbench.training.boxes import encoded

    heat, wanted, _ = encoded([(boxes, labels)], len(CLASSES), grid, 8)
    left, top, right, bottom = wanted[0] / 8
    x, y = torch.arange(grid[1]) + 0.5, torch.arange(grid[0])[:, None] + 0.5
    sides = (right - left).clamp(min=1e-3).log(), (bottom - top).clamp(min=1e-3).log()
    return torch.cat(
        [torch.logit(heat[0], 1e-4), torch.stack([(left + right) / 2 - x, (top + bottom) / 2 - y, *sides])]
    )


def apart():
    """Boxes of the first pictures that no other box of their picture hides from a map."""
    _, targets = TASK.batch("val", np.arange(8), SIZE[1:])
    kept = []
    for boxes, labels in targets:
        cells = ((boxes[:, :2] + boxes[:, 2:]) / 16).floor()
        far = (cells[:, None] - cells[None]).abs().amax(-1) + 9 * torch.eye(len(cells)) > 1
        kept.append((boxes[far.all(1)], labels[far.all(1)]))
    return kept


def precision(maps, targets):
    scorer = TASK.scorer()
    scorer.update(torch.stack(maps), targets)
    return scorer.compute()


def test_perfect_maps_score_one_and_shifted_boxes_what_their_overlap_says():
    targets = apart()
    assert sum(len(labels) for _, labels in targets) > 10
    maps = [ideal(*one) for one in targets]
    assert precision(maps, targets) > 0.999
    # every box moved by a fifth of its width: the overlap is 0.8 / 1.2 = 0.667, right at 4 of the 10 thresholds
    moved = []
    for boxes, labels in targets:
        fifth = 0.2 * (boxes[:, 2] - boxes[:, 0])
        moved.append((boxes + torch.stack([fifth, 0 * fifth, fifth, 0 * fifth], 1), labels))
    assert precision(maps, moved) == pytest.approx(0.4, abs=0.02)
    wrong = [(boxes, (labels + 1) % len(CLASSES)) for boxes, labels in targets]
    assert precision(maps, wrong) < 0.1


def test_the_loss_is_least_where_the_map_is_right():
    targets = apart()
    perfect = torch.stack([ideal(*one) for one in targets])
    right = TASK.loss(perfect, targets)
    assert 0 <= right < 0.1
    larger = perfect.clone()
    larger[:, -2:] += 0.5  # sides 1.6 times as long
    colder = perfect.clone()
    colder[:, :-4] = -5
    assert TASK.loss(larger, targets) > right + 0.2
    assert TASK.loss(colder, targets) > right + 2
    assert TASK.distance(perfect, perfect) < 1e-6 < TASK.distance(larger, perfect)
    assert TASK.distance(colder, perfect) > 1e-6
    nothing = [(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64))]
    assert torch.isfinite(TASK.loss(torch.randn(1, 10, 8, 8), nothing))


def test_gradients_are_finite_at_the_most_extreme_maps():
    targets = apart()
    for scale in (0.0, 1e3):
        outputs = (scale * torch.randn(len(targets), 10, 8, 8)).requires_grad_()
        TASK.loss(outputs, targets).backward()
        assert torch.isfinite(outputs.grad).all()


def test_boxes_are_learned():
    before = small_detector(len(CLASSES))
    task = Detection("rooms/detection", RoomBoxes(Rooms(train=192, val=32, size=64)))
    trained = fit(before, task, SIZE, Schedule(epochs=12, learning_rate=1e-2, batch_size=8))
    losses = [row["loss"] for row in trained.epochs]
    assert losses[-1] < 0.8 * losses[0]
    after = small_detector(len(CLASSES))
    after.load_state_dict(trained.state)
    assert score(after, task, SIZE).value == trained.epochs[-1]["score"] > 3 * score(before, task, SIZE).value


def test_boxes_scale_with_the_picture():
    (small, labels), (large, same) = (TASK.batch("val", np.array([3]), size)[1][0] for size in ((64, 64), (96, 128)))
    torch.testing.assert_close(large, small * torch.tensor([2.0, 1.5, 2.0, 1.5]))
    assert labels.tolist() == same.tolist() == ROOMS.rooms("val")[3].labels.tolist()


def test_varied_pictures_keep_their_boxes_with_them():
    images, targets = TASK.batch("train", np.arange(16), SIZE[1:])
    one, same = (TASK.varied(images, targets, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(one[0], same[0]) and one[0].shape == images.shape
    assert sum(len(labels) for _, labels in one[1]) <= sum(len(labels) for _, labels in targets)
    for boxes, labels in one[1]:
        assert len(boxes) == len(labels) and (boxes >= 0).all() and (boxes <= 64).all()
        assert (boxes[:, 2:] > boxes[:, :2]).all()


def test_what_does_not_fit_is_told_before_anything_is_learned():
    with pytest.raises(
        InputError, match=r"small has outputs of shape \(2, 9, 8, 8\), and rooms/detection needs a map of 10"
    ):
        fit(small_detector(5), TASK, SIZE, name="small")


def test_the_embedded_one():
    task = resolve_task("rooms/detection")
    assert (task.classes, task.head, task.count("train")) == (CLASSES, "detection", Rooms().train)
    assert "IoU 0.50 to 0.95" in task.metric


def test_a_score_says_what_it_is_of():
    found = score_with(lambda images: torch.full((len(images), 10, 8, 8), -9.0), TASK, SIZE)
    assert (found.value, found.pictures, found.metric) == (0.0, 24, TASK.metric)
