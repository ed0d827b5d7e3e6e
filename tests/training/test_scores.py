"""Scores: intervals that hold what they should, differences picture by picture, what is not compared."""

import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import binomtest

from workbench.errors import InputError
from workbench.training import Detection, Segmentation, distance, resolve_task, score_with
from workbench.training.embedded import RoomBoxes, RoomMasks, Rooms
from workbench.training.evidence import Hits, Means, Overlaps
from workbench.training.matches import ClassMatches, Matches, MatchScorer, right_at
from workbench.training.resampling import bootstrap, resamples, wilson

from .networks import small

DIGITS = resolve_task("digits")
SIZE = (3, 8, 8)


def answers(wrong=(), by=4.0):
    """What answers digits right but for these numbers of the part, in the order they are asked for."""
    start = 0

    def answer(images, labels):
        nonlocal start
        numbers = np.arange(start, start + len(images))
        start += len(images)
        shift = torch.from_numpy(np.isin(numbers, wrong).astype(np.int64))
        return by * torch.nn.functional.one_hot((labels + shift) % 10, 10).float()

    return answer


def judged(wrong=(), part="val", by=4.0, dtype="float"):
    labels = torch.from_numpy(DIGITS.source.labels(part))
    answer, start = answers(wrong, by), 0

    def of(images):
        nonlocal start
        own = labels[start : start + len(images)]
        start += len(images)
        return answer(images, own)

    return score_with(of, DIGITS, SIZE, dtype, part)


# ---- intervals --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("hits", "count"), [(0, 20), (1, 20), (351, 359), (20, 20), (1000, 2000)])
def test_wilsons_interval_is_scipys(hits, count):
    theirs = binomtest(hits, count).proportion_ci(0.95, "wilson")
    assert wilson(hits, count) == pytest.approx((theirs.low, theirs.high), abs=1e-9)


def test_resamples_are_the_same_each_time_and_draw_as_many_pictures():
    first, again = (np.concatenate(list(resamples(37))) for _ in range(2))
    assert np.array_equal(first, again) and (first.sum(1) == 37).all() and first.shape == (500, 37)
    assert len(np.unique(first, axis=0)) == 500


def test_the_bootstrap_of_a_mean_is_about_that_of_its_standard_error():
    values = np.random.default_rng(1).normal(3, 2, 400)
    low, high = Means(values).interval()
    half = 1.96 * values.std() / 20
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.15 * half)


def test_a_score_has_a_count_an_interval_and_a_loss():
    score = judged(range(0, 359, 45))
    assert (score.count, score.pictures, score.part) == (359, 359, "val")
    assert float(score) == score.value == 351 / 359
    assert score.interval == wilson(351, 359)
    right, wrong = (
        float(torch.nn.functional.cross_entropy(4.0 * torch.eye(10)[:1], torch.tensor([i]))) for i in (0, 1)
    )
    assert score.loss == pytest.approx((351 * right + 8 * wrong) / 359, abs=1e-6)
    assert (
        str(score) == "digits: top-1 accuracy 97.8% (95 %: 95.7 to 98.9 %) of 359 val pictures, held out by rule, float"
    )
    assert score == judged(range(0, 359, 45)) and hash(score) == hash(judged(range(0, 359, 45)))
    assert score != judged(range(0, 359, 45), dtype="int8")
    # less sure of the same answers: the count of hits does not see it
    unsure = judged(range(0, 359, 45), by=2.0)
    assert unsure.value == score.value and unsure.loss > score.loss


# ---- differences ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("gained", "lost"), [(4, 0), (6, 0), (7, 1), (8, 1), (0, 0), (12, 9), (30, 10)])
def test_a_difference_is_told_where_mcnemars_test_tells_one(gained, lost):
    other = judged(range(gained))
    score = judged(range(gained, gained + lost))
    difference = score.against(other)
    assert difference.value == pytest.approx((gained - lost) / 359) and difference.pictures == 359
    told = binomtest(gained, gained + lost).pvalue < 0.05 if gained + lost else False
    assert difference.significant == told
    assert difference.text.startswith("no difference") == (not told)
    low, high = difference.interval
    assert low < difference.value < high
    back = other.against(score)
    assert back.interval == pytest.approx((-high, -low), abs=2 / 359)
    assert difference.loss == pytest.approx(score.loss - other.loss) and difference.loss == -back.loss


def test_pairs_tell_what_intervals_side_by_side_do_not():
    other = judged(range(60))
    score = judged(range(45))
    assert score.interval[0] < other.interval[1]
    assert score.against(other).significant
    assert f"{score.against(other)}".startswith("digits: top-1 accuracy, +4.2 points (95 %: +2.")


def test_scores_of_other_pictures_are_not_compared():
    score = judged()
    with pytest.raises(InputError, match=r"scores of one part are compared .*, and these are val and test"):
        score.against(judged(part="test"))
    with pytest.raises(InputError, match=r"scores of one task are compared .*, and these are digits and others"):
        score.against(replace(score, task="others"))
    with pytest.raises(InputError, match=r"scores of the same pictures are compared, and digits is other data"):
        score.against(replace(score, data="0123"))
    with pytest.raises(InputError, match=r"compared with a Score, such as session.evaluate\(...\), not 0.9"):
        score.against(0.9)


# ---- masks and boxes --------------------------------------------------------------------------------------------

FEW = Rooms(train=2, val=24, size=64, test=3)


def test_overlaps_of_a_resample_are_those_of_the_pictures_drawn():
    task = Segmentation("rooms/segmentation", RoomMasks(FEW))
    random = torch.Generator().manual_seed(0)
    _, masks = task.batch("val", np.arange(24), (64, 64))
    outputs = torch.randn(24, 8, 16, 16, generator=random)
    scorer, drawn = task.scorer(), task.scorer()
    scorer.update(outputs, masks)
    times = next(resamples(24))[:1]
    rows = np.repeat(np.arange(24), times[0])
    drawn.update(outputs[rows], masks[rows])
    evidence = scorer.evidence()
    assert isinstance(evidence, Overlaps)
    assert evidence.values(times)[0] == pytest.approx(drawn.compute(), abs=1e-12)
    low, high = evidence.interval()
    assert low < evidence.value < high
    assert task.losses(outputs, masks).shape == (24,)


def maps(targets, random, noise):
    """Maps of boxes that lie about where they are, and of some where there are none."""
    from workbench.training.boxes import encoded

    made = []
    for boxes, labels in targets:
        heat, places, _ = encoded([(boxes, labels)], 6, (8, 8), 8)
        left, top, right, bottom = places[0] / 8
        x, y = torch.arange(8) + 0.5, torch.arange(8)[:, None] + 0.5
        sides = (right - left).clamp(min=1e-3).log(), (bottom - top).clamp(min=1e-3).log()
        shape = torch.stack([(left + right) / 2 - x, (top + bottom) / 2 - y, *sides])
        logits = torch.logit(heat[0], 1e-2) + noise * torch.randn(heat[0].shape, generator=random)
        made.append(torch.cat([logits, shape + 0.1 * noise * torch.randn(shape.shape, generator=random)]))
    return torch.stack(made)


def test_mean_precision_is_torchmetrics():
    from torchmetrics.detection import MeanAveragePrecision

    from workbench.training.boxes import decoded

    task = Detection("rooms/detection", RoomBoxes(FEW))
    _, targets = task.batch("val", np.arange(24), (64, 64))
    for noise in (0.3, 1.0, 2.0):
        outputs = maps(targets, torch.Generator().manual_seed(1), noise)
        scorer, theirs = task.scorer(), MeanAveragePrecision(backend="faster_coco_eval")
        scorer.update(outputs, targets)
        for output, (boxes, labels) in zip(outputs, targets, strict=True):
            rows = dict(zip(("boxes", "scores", "labels"), decoded(output, 8), strict=True))
            theirs.update([rows], [{"boxes": boxes, "labels": labels}])
        value = float(theirs.compute()["map"])
        assert scorer.compute() == pytest.approx(value, abs=1e-3) and 0.02 < value < 0.99


def test_a_detector_has_an_interval_and_differs_from_another_picture_by_picture():
    task = Detection("rooms/detection", RoomBoxes(FEW))
    _, targets = task.batch("val", np.arange(24), (64, 64))
    good, bad = (
        score_with(lambda images, noise=noise: maps(targets, torch.Generator().manual_seed(1), noise)[: len(images)],
                   task, (3, 64, 64)) for noise in (0.3, 2.0)
    )  # fmt: skip
    low, high = good.interval
    assert 0 < low < good.value < high < 1 and good.count == 24
    assert good.against(bad).significant and not good.against(good).significant
    assert good.against(good).text == "no difference: 0.0 points (95 %: 0.0 to 0.0)"
    assert good.loss < bad.loss
    outputs = maps(targets, torch.Generator().manual_seed(1), 1.0)
    each, whole = task.losses(outputs, targets), task.loss(outputs, targets)
    torch.testing.assert_close(each[3], task.loss(outputs[3:4], targets[3:4]))
    boxes = torch.tensor([len(labels) for _, labels in targets])
    torch.testing.assert_close((each * boxes.clamp(min=1)).sum() / boxes.sum(), whole)
    same, others = task.distances(outputs, outputs), task.distances(outputs, outputs.roll(1, 0))
    assert same.max() < 1e-3 < others.min()  # boxes of no extent have an overlap of rounding with themselves


def test_the_surest_detection_has_the_box_and_each_box_is_had_once():
    truths = torch.tensor([[0.0, 0, 10, 10], [20, 0, 30, 10]])
    boxes = torch.tensor([[0.0, 0, 10, 9], [0, 0, 10, 10], [20, 0, 30, 5.5], [40, 0, 50, 10]])
    right = right_at(boxes, truths)
    assert right.sum(1).tolist() == [9, 1, 2, 0]  # the second has the first box where the first, 0.90, is not enough
    assert MatchScorer(2, 8) is not None and right_at(boxes[:0], truths).shape == (0, 10)


def test_a_large_part_is_resampled_in_seconds():
    """2,000 pictures, 50,000 detections of 6 classes."""
    random = np.random.default_rng(0)
    classes = []
    for _ in range(6):
        picture = random.integers(0, 2000, 8000).astype(np.int32)
        hit = random.random(8000) < np.linspace(0.3, 0.0, 8000)
        classes.append(ClassMatches(picture, hit[:, None] & (random.random((8000, 1)) > np.linspace(0, 0.9, 10))))
    evidence = Matches(np.full((2000, 6), 2, np.int32), tuple(classes))
    start = time.process_time()
    low, high = evidence.interval()
    assert time.process_time() - start < 5
    assert low < evidence.value < high


# ---- distance ---------------------------------------------------------------------------------------------------


def test_the_distance_needs_no_labels_and_tells_more_from_less():
    original, near, far = small(), small(), small()
    with torch.no_grad():
        near.head.weight.mul_(4)
        far.head.weight.mul_(20)
    images = torch.randn(70, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    none, less, more = (distance(network, original, DIGITS, images) for network in (original, near, far))
    assert none.value == 0 < less.value < more.value and less.pictures == 70
    with torch.inference_mode():
        logits = [(network.eval()(images) / 2).double() for network in (original, far)]
    p, q = (one.softmax(1) for one in logits)
    assert more.value == pytest.approx(4 * float((p * (p / q).log()).sum(1).mean()), rel=1e-3)
    low, high = more.difference_interval(less)
    assert 0 < low < more.value - less.value < high
    with pytest.raises(InputError, match="distances on the same pictures are compared"):
        more.difference_interval(distance(near, original, DIGITS, images[:60]))
    with pytest.raises(InputError, match=r"images are of shape \(3, 16, 16\)"):
        distance(near, original, DIGITS, images[0])


def test_a_statistic_of_one_picture_has_no_width():
    assert bootstrap(lambda times: times[:, 0] * 0.5, 1) == (0.5, 0.5)
    assert Hits(np.array([True])).interval()[0] < 0.3
