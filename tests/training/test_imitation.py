"""What a network learns from a teacher beside labels: its maps, on mixed pictures."""

import numpy as np
import torch

from workbench.training import Schedule, fit, resolve_task
from workbench.training.imitation import Imitation, Point, Watched

from .networks import bottlenecks

SIZE = (3, 16, 16)
POINTS = [Point("blocks.0"), Point("blocks.2")]


def test_pictures_are_mixed_with_at_most_as_much_of_another_one_and_targets_stay():
    task = resolve_task("digits")
    images, targets = task.batch("train", np.arange(48), SIZE[1:])
    plain, _ = task.varied(images, targets, torch.Generator().manual_seed(3))
    mixed, same = Imitation(task).varied(images, targets, torch.Generator().manual_seed(3))
    assert mixed.dtype == images.dtype and mixed.shape == images.shape and torch.equal(same, targets)
    assert not torch.equal(mixed, plain)
    flat, sources = mixed.flatten(1).double(), plain.flatten(1).double()
    distances = torch.cdist(flat - flat.mean(1, keepdim=True), sources - sources.mean(1, keepdim=True))
    assert (distances.argmin(1) == torch.arange(48)).float().mean() > 0.9  # the larger part is its own


def test_the_learner_starts_as_what_it_is_and_its_norms_keep_their_statistics():
    task, teacher = resolve_task("digits"), bottlenecks()
    learner = Watched(bottlenecks(), POINTS)
    shown = Watched(teacher, POINTS, SIZE[1:], always=True)
    schedule = Schedule(epochs=1, learning_rate=2e-4, teaching=1.0)
    trained = fit(learner, Imitation(task), SIZE, schedule, shown).state
    start = learner.state_dict()
    statistics = [name for name in start if "running" in name]
    assert statistics and all(torch.equal(trained[name], start[name]) for name in statistics)
    # the learner is the teacher: there is nothing to learn, so next to nothing changes
    weights = [name for name, value in start.items() if value.is_floating_point() and name not in statistics]
    assert max(float((trained[n] - start[n]).norm() / start[n].norm().clamp_min(0.1)) for n in weights) < 0.05


def test_a_learner_hands_out_maps_only_while_it_learns():
    learner, images = Watched(bottlenecks(), POINTS), torch.zeros(2, *SIZE)
    outputs, maps = learner.train()(images)
    assert outputs.shape == (2, 10) and [tuple(made.shape[:2]) for made in maps] == [(2, 24), (2, 24)]
    assert torch.equal(learner.eval()(images), outputs)  # no norm reads the batch
