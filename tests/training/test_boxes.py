"""Boxes to maps and back."""

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from workbench.training.augmentation import random_moves
from workbench.training.boxes import boxes_at, decoded, encoded

STRIDE, ROWS, COLUMNS, CLASSES = 8, 12, 16, 3
HEIGHT, WIDTH = ROWS * STRIDE, COLUMNS * STRIDE


@st.composite
def scenes(draw):
    """Up to five boxes of any size, in the picture, with centres at least two cells apart."""
    boxes, labels, taken = [], [], []
    for _ in range(draw(st.integers(1, 5))):
        w, h = draw(st.floats(1.5, WIDTH)), draw(st.floats(1.5, HEIGHT))
        left, top = draw(st.floats(0, WIDTH - w)), draw(st.floats(0, HEIGHT - h))
        cell = int((left + w / 2) // STRIDE), int((top + h / 2) // STRIDE)
        if all(max(abs(cell[0] - x), abs(cell[1] - y)) > 1 for x, y in taken):
            taken.append(cell)
            boxes.append((left, top, left + w, top + h))
            labels.append(draw(st.integers(0, CLASSES - 1)))
    return torch.tensor(boxes), torch.tensor(labels)


def ideal(boxes, labels):
    """The map a perfect detector makes of them: the heat as logits, the boxes as the definition says."""
    heat, wanted, _ = encoded([(boxes, labels)], CLASSES, (ROWS, COLUMNS), STRIDE)
    left, top, right, bottom = (wanted[0] / STRIDE).clamp(min=0)
    x, y = torch.arange(COLUMNS) + 0.5, torch.arange(ROWS)[:, None] + 0.5
    sides = (right - left).clamp(min=1e-6), (bottom - top).clamp(min=1e-6)
    shape = torch.stack([(left + right) / 2 - x, (top + bottom) / 2 - y, sides[0].log(), sides[1].log()])
    return torch.cat([torch.logit(heat[0], 1e-5), shape])


@given(scenes())
@settings(max_examples=60, deadline=None)
def test_an_ideal_map_is_read_as_its_boxes(scene):
    boxes, labels = scene
    from torchvision.ops import box_iou

    overlaps = box_iou(boxes, boxes) * (labels[:, None] == labels) * (1 - torch.eye(len(boxes)))
    assume(overlaps.max() < 0.55)  # of a class, nearer ones are taken for one thing
    centres, sides = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    cells = (centres / STRIDE).floor() * STRIDE
    near = torch.exp(-(((cells[:, None] - cells) / sides) ** 2).sum(-1) / (2 * 0.09**2)) - 2 * torch.eye(len(boxes))
    assume(near.max() < 0.049)  # a box that reaches to another one's centre may have that cell
    found, scores, kinds = decoded(ideal(boxes, labels), STRIDE)
    sure = scores > 0.99
    assert int(sure.sum()) == len(boxes)
    order = [int((found[sure] - box).abs().sum(1).argmin()) for box in boxes]
    torch.testing.assert_close(found[sure][order], boxes, rtol=1e-3, atol=2e-3)
    assert kinds[sure][order].tolist() == labels.tolist()


def test_a_box_by_hand():
    """32 x 16 pixels around (44, 28): the centre lies in cell (5, 3), whose centre is (44, 28)."""
    boxes, labels = torch.tensor([[28.0, 20.0, 60.0, 36.0]]), torch.tensor([1])
    heat, wanted, share = encoded([(boxes, labels)], CLASSES, (ROWS, COLUMNS), STRIDE)
    assert (heat == 1).nonzero().tolist() == [[0, 1, 3, 5]]
    # one cell to the right is a quarter of the width away, one down half of the height
    assert heat[0, 1, 3, 6] == pytest.approx(torch.exp(torch.tensor(-((1 / 4) ** 2) / (2 * 0.09**2))).item())
    assert heat[0, 1, 4, 5] == pytest.approx(torch.exp(torch.tensor(-((1 / 2) ** 2) / (2 * 0.09**2))).item())
    assert wanted[0, :, 3, 5].tolist() == boxes[0].tolist() and share.sum() == pytest.approx(1)
    assert boxes_at(torch.tensor([0.0, 0.0, 4.0, 2.0]).log()[:, None, None].nan_to_num(neginf=0), STRIDE)[
        :, 0, 0
    ].tolist() == pytest.approx([-12, -4, 20, 12])


def test_pictures_without_boxes_want_a_cold_map():
    nothing = torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64)
    something = torch.tensor([[0.0, 0, 30, 30]]), torch.tensor([2])
    heat, _, share = encoded([nothing, something, nothing], CLASSES, (ROWS, COLUMNS), STRIDE)
    assert heat[[0, 2]].sum() == 0 and share[[0, 2]].sum() == 0 and (heat[1] == 1).sum() == 1
    assert len(decoded(torch.full((CLASSES + 4, ROWS, COLUMNS), -9.0), STRIDE)[0]) == 0


def test_the_smaller_of_two_boxes_has_the_cell():
    both = torch.tensor([[10.0, 10, 90, 90], [42.0, 42, 58, 58]]), torch.tensor([0, 1])
    _, wanted, _ = encoded([both], CLASSES, (ROWS, COLUMNS), STRIDE)
    assert wanted[0, :, 6, 6].tolist() == [42, 42, 58, 58]
    assert wanted[0, :, 6, 7].tolist() == [10, 10, 90, 90]  # beside it the larger one learns on


@given(st.integers(0, 10_000), st.booleans(), st.sampled_from([0.0, 0.125, 0.3]))
@settings(max_examples=60, deadline=None)
def test_moved_boxes_are_the_boxes_of_the_moved_picture(seed, mirrors, shift):
    """A rectangle painted in a picture is found where its box went; masks go with them."""
    random = torch.Generator().manual_seed(seed)
    left, top = (int(v) for v in torch.randint(2, 20, (2,), generator=random))
    right, bottom = left + 10, top + 8
    picture = torch.zeros(1, 3, 32, 40, dtype=torch.uint8)
    picture[..., top:bottom, left:right] = 200
    moves = random_moves(1, (32, 40), shift, mirrors, random)
    boxes, shows = moves.boxes(0, torch.tensor([[left, top, right, bottom]], dtype=torch.float32), (32, 40))
    there = moves.maps(picture)[0, 0].nonzero()
    if not len(boxes):
        assert not shows.any() and len(there) < 0.25 * 80
        return
    (y0, x0), (y1, x1) = there.min(0).values.tolist(), (there.max(0).values + 1).tolist()
    assert boxes[0].tolist() == [x0, y0, x1, y1]
    assert torch.equal(moves.maps(picture[:, :1].long())[0, 0] > 0, moves.maps(picture)[0, 0] > 0)
