"""A state is a value: changes are undone and redone one by one, whatever they are, and nothing else remembers."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import workbench as wb
from workbench.errors import InputError, NotApplicable, UnknownName
from workbench.state import Applied, Learned, State, open_base

EDITS = (wb.DepthMultiplier(0.75), wb.EvenChannels("up", multiple=12), wb.Recipe("both", (wb.DenseDepthwise(),)))


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1), nn.ReLU())
        self.body = nn.Sequential(nn.Conv2d(16, 16, 3, 1, 1, groups=16), nn.ReLU(), nn.Conv2d(16, 32, 1), nn.ReLU())
        self.head = nn.Linear(32, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(self.stem(x)).mean((2, 3)))


@pytest.fixture(scope="module")
def opened() -> State:
    torch.manual_seed(0)
    return State(open_base(Net(), (3, 32, 32)), wb.Target.ethos_u("ethos-u65-512"))


def learn(state: State) -> State:
    return state.after(Learned(state.graph, {}, f"task {len(state.changes)}"))


@settings(max_examples=30, deadline=None)
@given(actions=st.lists(st.sampled_from(("apply", "learn", "undo", "redo", "other target")), max_size=12))
def test_undo_and_redo_walk_the_changes(opened, actions):
    """Held against the plainest model of an editor: a list and a cursor."""
    state, line, cursor = opened, [opened.changes], 0
    for action in actions:
        if action == "undo" and cursor == 0:
            with pytest.raises(InputError, match="nothing to undo"):
                state.undo()
            continue
        if action == "redo" and cursor == len(line) - 1:
            with pytest.raises(InputError, match="nothing to redo"):
                state.redo()
            continue
        if action == "undo":
            state, cursor = state.undo(), cursor - 1
        elif action == "redo":
            state, cursor = state.redo(), cursor + 1
        elif action == "other target":
            state = state.on("ethos-u55-128" if state.target.name == "ethos-u65-512" else "ethos-u65-512")
        else:
            try:
                state = learn(state) if action == "learn" else state.apply(EDITS[len(state.changes) % len(EDITS)])
            except NotApplicable:
                continue
            line, cursor = [*line[: cursor + 1], state.changes], cursor + 1
        assert state.changes == line[cursor]
        assert state.graph == (state.changes[-1].graph if state.changes else opened.graph)
        assert len(state.undone) == len(line) - 1 - cursor


def test_the_path_leads_from_the_opened_model_here(opened):
    state = learn(opened.apply(EDITS[0])).apply(EDITS[1])
    assert [len(each.changes) for each in state.path] == [0, 1, 2, 3]
    assert state.path[0] == state.baseline == opened and state.path[-1] == state
    assert list(state.history["transform"])[1:] == [
        "DepthMultiplier(ratio=0.75, blocks='*', importance='magnitude', multiple=8)",
        "weights of task 1",
        "EvenChannels(direction='up', multiple=12, blocks='*', importance='magnitude', sram_kib=None, model_kib=None)",
    ]


def test_a_recipe_is_one_change_with_its_name(opened):
    recipe = wb.Recipe("both", (wb.DenseDepthwise(), wb.DepthMultiplier(0.75)))
    state = opened.apply(recipe)
    (change,) = state.changes
    assert isinstance(change, Applied) and change.recipe == "both" and len(change.steps) == 2
    assert str(change) == "recipe 'both'"
    assert state.undo() == opened
    by_hand = opened.apply(*recipe.steps)
    assert by_hand.graph == state.graph and len(by_hand.changes) == 2


def test_plans_since_weights_were_learned(opened):
    first = opened.apply(EDITS[0])
    again = learn(first).apply(EDITS[1])
    assert first.plans_since_learned == tuple(step.plan for step in first.steps)
    assert learn(first).plans_since_learned == ()
    assert again.plans_since_learned == (again.steps[-1].plan,)
    assert again.learned is not None and again.learned.source == "task 1"
    assert again.undo().undo().learned is None


def test_an_error_names_the_changes_before_it(opened):
    with pytest.raises(NotApplicable, match=r"^after DenseDepthwise\(\), DepthMultiplier\(\): .*depthwise convolution"):
        opened.apply(wb.DenseDepthwise(), wb.DepthMultiplier(0.75), wb.DenseDepthwise())
    with pytest.raises(NotApplicable, match=r"^step 2 of recipe 'twice', DenseDepthwise"):
        opened.apply(wb.Recipe("twice", (wb.DenseDepthwise(), wb.DenseDepthwise())))


def test_two_sessions_on_one_model_see_what_was_compiled_for_either(tmp_path, monkeypatch):
    """An estimate made before a compile of the same network does not outlive it, in whichever session."""
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path))
    mine = wb.open("mobilenetv2_050", target="ethos-u65-512", input_size=(3, 64, 64))
    yours = wb.open("mobilenetv2_050", target="ethos-u65-512", input_size=(3, 64, 64))
    before = yours.estimate
    assert before.own == 0
    mine.verify()
    assert mine.estimate.own > 0.9
    assert yours.estimate == mine.estimate != before


def test_a_table_of_blocks_has_the_same_columns_calibrated_or_not():
    session = wb.open("mobilenetv2_050", target="ethos-u65-512", input_size=(3, 64, 64))
    known, unknown = session.blocks, session.on("onnxruntime-cpu").blocks
    assert list(known.columns) == list(unknown.columns)
    for column in ("name", "kind", "shape", "macs", "params"):
        assert list(known[column]) == list(unknown[column])
    assert known["params"].sum() == session.graph.params
    assert unknown["latency_ms"].isna().all() and "not calibrated" in unknown.attrs["note"]


def test_notes_say_when_what_they_speak_of_has_changed(opened):
    stem, block = opened.graph.blocks[0], opened.graph.blocks[1]
    operator = block.ops[0]
    noted = opened.annotate(block.name, "wide").annotate(operator, "slow").annotate("", "the start")
    assert list(noted.notes.columns) == ["where", "note", "since"]
    assert list(noted.notes.since) == ["as it was"] * 3
    narrowed = noted.apply(wb.DenseDepthwise(blocks=block.name))
    assert list(narrowed.notes.since) == ["changed since", "changed since", "changed since"]
    assert narrowed.annotations == noted.annotations
    assert list(narrowed.undo().notes.since) == ["as it was"] * 3
    elsewhere = noted.apply(wb.ReplaceActivation("hard_swish", ("relu",), stem.name))
    assert list(elsewhere.notes.since) == ["as it was", "as it was", "changed since"]
    assert list(replace(noted, noted_of=()).notes.since) == ["", "", ""]
    with pytest.raises(UnknownName, match="unknown block or module"):
        opened.annotate("nowhere", "x")
