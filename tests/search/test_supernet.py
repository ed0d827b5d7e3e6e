"""The supernet: its paths are the candidates the library assembles; trained, interrupted and judged path by path."""

import copy
from dataclasses import dataclass

import pytest
import torch

from workbench.errors import InputError
from workbench.graph.trace import trace
from workbench.hardware import resolve
from workbench.search.sandwich import train
from workbench.search.supernet import Supernet, candidate, rank, supernet
from workbench.space import catalogue
from workbench.surgery.assembly import assemble
from workbench.surgery.library import BlockLibrary, fill
from workbench.surgery.local_choices import BlockChoice, local_choices
from workbench.surgery.norm_statistics import estimate_statistics
from workbench.training import Schedule, fit, resolve_task, score
from workbench.training.scoring import training_pictures

from ..training.networks import bottlenecks

SIZE = (3, 16, 16)
LABELS = ("fuse", "narrow 0.25", "drop")
SCHEDULE = Schedule(epochs=2, learning_rate=2e-3)


@dataclass(frozen=True)
class Filled:
    library: BlockLibrary
    choices: tuple[BlockChoice, ...]
    net: Supernet
    path: tuple[int, ...]
    assembled: torch.nn.Module


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """A network that learned the digits, and its supernet, from a library of fitted blocks."""
    task, target = resolve_task("digits"), resolve("ethos-u65-512")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORKBENCH_HOME", str(tmp_path_factory.mktemp("home")))
        network = bottlenecks()
        network.load_state_dict(fit(network, task, SIZE, Schedule(epochs=4, learning_rate=1e-2)).state)
        network.eval()
        graph = trace(network, SIZE)
        library = BlockLibrary(network, graph, training_pictures(task, SIZE, network, 64), steps=0)
        choices = tuple(c for c in local_choices(catalogue(graph, target), graph, target)[0] if c.label in LABELS)
        assert all(isinstance(entry.weights, dict) for entry in fill(library, choices))
        net = supernet(library, choices)
        picked = [
            next(c for c in choices if (c.block, c.label) == wanted)
            for wanted in (("blocks.2", "narrow 0.25"), ("blocks.0", "fuse"))
        ]
        return Filled(library, choices, net, net.path_of(picked), assemble(library, picked))


def same(one, other):
    return all(map(torch.equal, one.state_dict().values(), other.state_dict().values()))


@torch.no_grad()
def test_a_path_answers_as_the_assembled_candidate_and_the_unedited_one_as_the_network(filled):
    net, images = filled.net, filled.library.images[:8]
    assert [slot.block for slot in net.slots] == ["blocks.0", "blocks.1", "blocks.2"]
    assert [[c.label for c in slot.choices] for slot in net.slots] == [
        ["as it is", "fuse", "narrow 0.25"], *[["as it is", "fuse", "narrow 0.25", "drop"]] * 2,
    ]  # fmt: skip
    assert torch.equal(net(images), filled.library.model(images))
    assert filled.path == (1, 0, 2) and net.path == net.unedited == (0, 0, 0) and net.smallest == (2, 3, 3)
    with net.taking(filled.path):
        assert net.path == filled.path
        assert torch.equal(net(images), filled.assembled(images))
    assert net.path == net.unedited
    alone = candidate(net, filled.path)
    assert type(alone) is type(filled.library.model) and same(alone, filled.assembled)
    assert torch.equal(alone(images), filled.assembled(images))
    alone.head.weight.zero_()  # a copy: the supernet keeps its own
    assert torch.equal(net(images), filled.library.model(images))


def test_trained_by_drawn_paths_every_candidate_is_nearer_to_the_task(filled):
    task, net = resolve_task("digits"), filled.net
    paths = [net.unedited, net.smallest, filled.path, (0, 3, 0), (1, 1, 1)]
    before, weights = rank(net, paths, task), copy.deepcopy(net.state_dict())
    trained = train(net, task, SCHEDULE)
    after = rank(trained, paths, task)
    assert all(new.loss < old.loss for old, new in zip(before[1:], after[1:], strict=True))
    assert after[0].value > before[0].value - 0.02
    assert trained.slots == net.slots and all(torch.equal(value, weights[k]) for k, value in net.state_dict().items())
    alone = candidate(trained, filled.path)
    estimate_statistics(alone, training_pictures(task, SIZE, alone, 256))
    assert score(alone, task, SIZE).loss == after[2].loss


def test_interrupted_it_ends_with_the_same_bits(filled, monkeypatch, tmp_path):
    class Killed(Exception):
        pass

    def kill(part, done, total):
        if done > total // 2:
            raise Killed

    task = resolve_task("digits")
    with pytest.raises(Killed):
        train(filled.net, task, SCHEDULE, kill)
    parts = []
    resumed = train(filled.net, task, SCHEDULE, lambda part, *_: parts.append(part))
    assert all(part.startswith("epoch 2/2") for part in parts)
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path))
    assert same(resumed, train(filled.net, task, SCHEDULE))


def test_what_does_not_fit_is_told_in_a_sentence(filled):
    net, fuse = filled.net, filled.choices[0]
    with pytest.raises(InputError, match="a path of 2 numbers in a supernet of 3 slots"), net.taking((0, 0)):
        pass
    with pytest.raises(InputError, match=r"branch 3 of blocks\.0, which has 0 to 2"):
        candidate(net, (3, 0, 0))
    with pytest.raises(InputError, match=r"the supernet has no 'dense' of blocks\.0; make it with that choice"):
        net.path_of([BlockChoice("blocks.0", "dense", fuse.plans * 2)])
    with pytest.raises(InputError, match="a supernet of no choices"):
        supernet(filled.library, [])
    with pytest.raises(InputError, match=r"has no 'fuse' of blocks\.0; fill it with that first"):
        supernet(filled.library, [fuse])
