"""The block library: filled once, from where it was interrupted; what is put together from it is what was distilled."""

import copy

import pytest
import torch

import workbench as wb
from workbench.errors import FileFormatError, InputError
from workbench.graph import rewrite
from workbench.graph.trace import trace
from workbench.hardware import resolve
from workbench.space import catalogue
from workbench.surgery import build
from workbench.surgery.activations import capture
from workbench.surgery.assembly import assemble
from workbench.surgery.conformance import require_equal
from workbench.surgery.library import BlockEntry, BlockLibrary, fill
from workbench.surgery.local_choices import BlockChoice, LeftOut, divided, local_choices
from workbench.surgery.norm_statistics import estimate_statistics
from workbench.transforms import compose

from ..training.networks import bottlenecks
from .conftest import smooth

LABELS = ("fuse", "dense", "narrow 0.5", "drop", "fuse, narrow 0.5")


@pytest.fixture(scope="module")
def network():
    return bottlenecks().eval()


@pytest.fixture(scope="module")
def graph(network):
    return trace(network, (3, 16, 16))


@pytest.fixture(scope="module")
def choices(graph, target):
    listed, _ = local_choices(catalogue(graph, target), graph, target)
    return {(choice.block, choice.label): choice for choice in listed if choice.label in LABELS}


@pytest.fixture
def library(network, graph):
    return BlockLibrary(network, graph, smooth(64, 16, seed=1), steps=20)


def files(library):
    return sorted(file for file in library.file(BlockChoice("", "", ())).parent.glob("*"))


def same(one, other):
    losses = (one.loss_fitted, one.loss_distilled) == (other.loss_fitted, other.loss_distilled)
    return losses and one.weights.keys() == other.weights.keys() and all(
        torch.equal(value, other.weights[key]) for key, value in one.weights.items()
    )  # fmt: skip


def test_the_same_library_makes_the_same_entries_each_once(library, choices, tmp_path, monkeypatch):
    asked = [choices["blocks.1", label] for label in LABELS]
    entries = list(fill(library, asked))
    assert [entry.choice for entry in entries] == asked and len(files(library)) == len(LABELS)
    for entry in entries:
        exact = entry.choice.label == "dense"
        assert (entry.loss_distilled < 1e-3) == exact and entry.loss_distilled <= entry.loss_fitted
        assert bool(entry.weights) == (entry.choice.label not in ("dense", "drop"))
    fused, _, narrowed, dropped, both = (entry.loss_distilled for entry in entries)
    assert max(fused, narrowed) < dropped and fused < both < dropped
    written = [file.stat().st_mtime_ns for file in files(library)]
    assert all(map(same, entries, fill(library, asked)))
    assert [file.stat().st_mtime_ns for file in files(library)] == written
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path / "another"))
    assert all(map(same, entries, fill(library, asked)))


def test_interrupted_it_goes_on_with_the_entry_under_way(library, choices, tmp_path, monkeypatch):
    asked = [choices["blocks.0", "fuse"], choices["blocks.1", "narrow 0.5"], choices["blocks.1", "fuse, narrow 0.5"]]

    def interrupt(part, done, total):
        assert total == 3
        if part == "blocks.1 fuse, narrow 0.5":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(fill(library, asked, interrupt))
    kept = {file: file.stat().st_mtime_ns for file in files(library)}
    assert len(kept) == 2
    resumed = list(fill(library, asked))
    assert all(file.stat().st_mtime_ns == time for file, time in kept.items())
    assert len(files(library)) == 4  # the last choice begins as "fuse" does, which is kept for it
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path / "another"))
    assert all(map(same, resumed, fill(library, asked)))


def test_an_assembled_candidate_has_the_distilled_blocks_in_their_places(library, choices, target):
    asked = [choices["blocks.0", "fuse"], choices["blocks.1", "drop"], choices["blocks.2", "narrow 0.5"]]
    entries = list(fill(library, asked))
    candidate = assemble(library, asked)
    graph = library.graph
    for plan in (plan for choice in asked for plan in choice.plans):
        graph = rewrite(graph, plan)
    require_equal(graph, trace(candidate, (3, 16, 16)))
    expected = {key: value for key, value in library.model.state_dict().items() if not key.startswith("blocks.")}
    expected |= {key: value for entry in entries for key, value in entry.weights.items()}
    assert candidate.state_dict().keys() == expected.keys()
    assert all(torch.equal(value, expected[key]) for key, value in candidate.state_dict().items())
    built = build(library.model, library.graph, [plan for choice in asked for plan in choice.plans])
    built.load_state_dict(candidate.state_dict())
    images = smooth(4, 16, seed=3)
    with torch.no_grad():
        torch.testing.assert_close(built(images), candidate(images))


def test_a_candidate_is_nearer_to_the_network_than_the_fitted_one(library, choices):
    asked = [choices["blocks.0", "fuse"], choices["blocks.1", "fuse, narrow 0.5"], choices["blocks.2", "narrow 0.5"]]
    list(fill(library, asked))
    fitted = BlockLibrary(library.model, library.graph, library.images, steps=0)
    assert all(entry.loss_fitted == entry.loss_distilled for entry in fill(fitted, asked))
    assert fitted.digest != library.digest
    images = smooth(32, 16, seed=9)
    with torch.no_grad():
        y, near, far = (m(images) for m in (library.model, assemble(library, asked), assemble(fitted, asked)))
    assert (near - y).norm() < (far - y).norm()


def test_statistics_are_those_of_the_pictures(library, choices):
    asked = [choices["blocks.0", "fuse"]]
    list(fill(library, asked))
    images = smooth(32, 16, seed=4)
    kept, estimated = assemble(library, asked), assemble(library, asked, images)
    assert not torch.equal(kept.stem[1].running_mean, estimated.stem[1].running_mean)
    reads = capture(estimated, images, {"x": ("stem.1", "input")})["x"]
    torch.testing.assert_close(estimated.stem[1].running_mean, reads.mean((0, 2, 3)))
    torch.testing.assert_close(estimated.stem[1].running_var, reads.var((0, 2, 3)))
    assert estimated.stem[1].momentum == 0.1 and not any(m.training for m in estimated.modules())
    trained = copy.deepcopy(kept).train()
    estimate_statistics(trained, images)
    assert all(m.training for m in trained.modules())


def test_what_reaches_beyond_a_block_is_left_out_and_named(library, target):
    local, others = local_choices(catalogue(library.graph, target), library.graph, target)
    assert {choice.block for choice in local} == {"blocks.0", "blocks.1", "blocks.2"}
    assert any(other.label.startswith("DepthMultiplier") and "several blocks" in other.reason for other in others)
    large, _ = local_choices(catalogue(library.graph, resolve("ethos-u85-1024")), library.graph, target)
    assert {library.file(choice) for choice in large} == {library.file(choice) for choice in local}
    assert all(isinstance(other, LeftOut) for other in others)


def test_damaged_entries_and_missing_ones_are_told_in_a_sentence(library, choices):
    fuse = choices["blocks.1", "fuse"]
    with pytest.raises(InputError, match=r"has no 'fuse' of blocks\.1; fill it with that first"):
        assemble(library, [fuse])
    with pytest.raises(InputError, match=r"2 choices for blocks\.1; a candidate takes one a block"):
        assemble(library, [fuse, choices["blocks.1", "drop"]])
    list(fill(library, [fuse]))
    file = library.file(fuse)
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(FileFormatError, match=r"has weights of digest \w{8} where \w{8} is recorded; delete it"):
        list(fill(library, [fuse]))
    file.write_bytes(whole[:100])
    with pytest.raises(FileFormatError, match="is no whole entry of a block library; delete it and fill again"):
        assemble(library, [fuse])
    narrow = choices["blocks.1", "narrow 0.5"]
    other = BlockEntry(narrow, {"blocks.1.conv_pw.weight": torch.zeros(1)}, 0.0, 0.0, 0.0)
    library.keep(other)
    with pytest.raises(FileFormatError, match=r"does not fit narrow 0\.5, blocks\.1"):
        assemble(library, [narrow])
    with pytest.raises(InputError, match="a block library of 4 images; at least 8 are needed"):
        BlockLibrary(library.model, library.graph, library.images[:4])


def test_steps_taken_are_the_choices_of_the_catalogue_however_they_were_taken(library, graph, choices, target):
    """One step of several blocks, a block before that is gone: the same entries, up to what reaches further."""
    of = {(slot.block, choice.label): choice for slot in catalogue(graph, target).slots for choice in slot.choices}
    taken = [of["blocks.1", "drop"], of["blocks.2", "narrow 0.5"]]
    transforms = [wb.FuseIBN("blocks.[02]"), *(transform for choice in taken for transform in choice.transforms)]
    steps = compose([*transforms, wb.DepthMultiplier(0.5)], graph, target)
    local, after, further = divided(graph, [step.plan for step in steps])
    files = {library.file(choice) for choice in local}
    labels = {"blocks.0": "fuse", "blocks.1": "drop", "blocks.2": "fuse, narrow 0.5"}
    assert files == {library.file(choices[key]) for key in labels.items()}
    assert after == steps[-2].graph and further == (steps[-1].plan,)
    late = compose([wb.FuseIBN("blocks.0"), taken[0].transforms[0], wb.FuseIBN("blocks.2")], graph, target)
    again, after, further = divided(graph, [step.plan for step in late])
    assert {library.file(choice) for choice in again} == {
        library.file(choices[key]) for key in (("blocks.0", "fuse"), ("blocks.1", "drop"), ("blocks.2", "fuse"))
    }
    assert after == late[-1].graph and not further
    plans = tuple(step.plan for step in compose([wb.DepthMultiplier(0.5), wb.FuseIBN("blocks.0")], graph, target))
    assert divided(graph, plans) == ((), graph, plans)
