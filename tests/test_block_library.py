"""The block library of a session: filled in front or in the background, and built from."""

import time

import pytest
import torch

import workbench as wb
from workbench.errors import InputError
from workbench.graph.trace import trace
from workbench.session.block_library import library_of
from workbench.surgery.assembly import assemble
from workbench.surgery.conformance import require_equal
from workbench.surgery.library import fill
from workbench.surgery.local_choices import divided

from .training.networks import bottlenecks


@pytest.fixture(scope="module")
def session():
    return wb.open(bottlenecks(), input_size=(3, 16, 16), target="ethos-u65-512")


def test_a_session_fills_the_library_of_its_network_before_the_steps(session):
    table = session.library("digits", pictures=16, distil=1)
    assert list(table.columns) == ["block", "choice", "loss_fitted", "loss_distilled", "seconds", "note"]
    done = table[table.note == ""]
    assert set(done.block) == {"blocks.0", "blocks.1", "blocks.2"} and done.loss_distilled.notna().all()
    assert (table[table.note != ""].block == "").all()
    assert session.apply(wb.FuseIBN("blocks.0")).library("digits", pictures=16, distil=1).equals(table)
    with pytest.raises(InputError, match="pictures is 4; it must be a whole number of at least 8"):
        session.library("digits", pictures=4)
    with pytest.raises(InputError, match=r"and rooms/detection needs a map of \d+ channels"):
        session.library("rooms/detection")


def test_filled_in_the_background_it_is_the_same(session, monkeypatch, tmp_path):
    start = session.library("digits", pictures=16, distil=1, block=False)
    assert len(start) and set(start.columns) == {"block", "choice", "loss_fitted", "loss_distilled", "seconds", "note"}
    end = time.monotonic() + 120
    while (start.note == "not filled yet").any() and time.monotonic() < end:
        time.sleep(0.2)
        start = session.library("digits", pictures=16, distil=1, block=False)
    assert start.equals(session.library("digits", pictures=16, distil=1))
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path))
    session.library("digits", pictures=16, distil=1, block=False)
    whole = session.library("digits", pictures=16, distil=1)  # goes on in its place
    assert whole.drop(columns="seconds").equals(start.drop(columns="seconds"))


def same(one, other):
    return all(map(torch.equal, one.state_dict().values(), other.state_dict().values()))


def test_a_session_is_built_from_the_library_whatever_was_in_it(session, monkeypatch, tmp_path):
    edited = session.apply(wb.FuseIBN("blocks.0"), wb.DropBlock("blocks.1"), wb.ExpandRatio(0.5, blocks="blocks.2"))
    built = edited.build(library="digits")
    library = library_of(edited, "digits", 768, 200)
    choices, graph, further = divided(library.graph, edited.plans_since_learned)
    assert graph == edited.graph and not further
    assert same(built, assemble(library, choices, library.images)) and not same(built, edited.build())
    require_equal(edited.graph, trace(built, (3, 16, 16)))
    assert type(built) is type(session.base.module) and not built.training
    narrowed = edited.apply(wb.DepthMultiplier(0.5)).build(library="digits")  # what reaches further comes behind
    assert sum(p.numel() for p in narrowed.parameters()) < sum(p.numel() for p in built.parameters())
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path))
    list(fill(library, choices[1:]))
    assert same(built, edited.build(library="digits"))
    with pytest.raises(InputError, match="build takes library=, whose blocks are fitted"):
        edited.build(distil=3, library="digits")
