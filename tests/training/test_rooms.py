"""Rooms: what every loader relies on, over many pictures."""

from hashlib import sha256

import numpy as np
import pytest

from workbench.training.rooms import CLASSES, DRAWN, STUFF, room

PERSON = (STUFF + CLASSES).index("person")


@pytest.fixture(scope="module")
def rooms():
    return [room(7, i, 96) for i in range(150)]


def test_a_picture_is_a_function_of_seed_and_number():
    one, same, other = room(1, 5), room(1, 5), room(2, 5)
    for name in ("image", "mask", "boxes", "labels"):
        np.testing.assert_array_equal(getattr(one, name), getattr(same, name))
    assert not np.array_equal(one.image, other.image)


def test_other_pictures_need_another_name():
    """Pictures are kept in files called by DRAWN: who changes what is drawn (masks and boxes here) changes it too."""
    digest = sha256()
    for i in range(16):
        picture = room(0, i)
        digest.update(picture.mask.tobytes() + picture.boxes.tobytes() + picture.labels.tobytes())
    assert (DRAWN, digest.hexdigest()[:16]) == ("475c7009185d", "d3ba0ab6a5e3ae0f")


def test_masks_name_known_classes_and_rooms_have_walls_and_floors(rooms):
    share = np.bincount(np.concatenate([r.mask.ravel() for r in rooms]), minlength=len(STUFF + CLASSES))
    assert len(share) == len(STUFF + CLASSES)
    assert (share / share.sum() > 0.002).all()  # no class is too rare to learn


def test_boxes_lie_in_the_picture_and_hold_pixels_of_their_class(rooms):
    for r in rooms:
        assert len(r.boxes) == len(r.labels)
        for (left, top, right, bottom), label in zip(r.boxes.astype(int), r.labels, strict=True):
            assert 0 <= left < right <= 96 and 0 <= top < bottom <= 96
            inside = r.mask[top:bottom, left:right] == label + len(STUFF)
            # tight: the class touches all four sides
            assert all(side.any() for side in (inside[0], inside[-1], inside[:, 0], inside[:, -1]))


def test_somebody_is_in_half_of_the_pictures_and_the_mask_agrees(rooms):
    assert 0.35 < np.mean([r.somebody for r in rooms]) < 0.65
    assert all(r.somebody == bool((r.mask == PERSON).any()) for r in rooms)


def test_people_cannot_be_told_from_single_statistics_of_the_picture(rooms):
    """No short cut: mean colour, contrast and brightness of a picture say little about who is in it."""
    features = np.array(
        [[*r.image.mean((0, 1)), r.image.std(), np.abs(np.diff(r.image.astype(int), axis=1)).mean()] for r in rooms]
    )
    there = np.array([r.somebody for r in rooms])
    for column in features.T:
        cut = np.median(column)
        agreement = max(np.mean((column > cut) == there), np.mean((column <= cut) == there))
        assert agreement < 0.65


def test_any_size_shows_the_same_room():
    small, large = room(3, 11, 64), room(3, 11, 128)
    assert len(small.image) == 64 and len(large.image) == 128
    halved = large.mask[::2, ::2]
    assert np.mean(halved == small.mask) > 0.9
