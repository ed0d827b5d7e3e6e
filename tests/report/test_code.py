"""The code of a session makes the same session."""

import pytest
import torch

import workbench as wb
from workbench.report import code
from workbench.surgery import build_state


def run(text: str, **names: object) -> wb.Session:
    scope: dict[str, object] = dict(names)
    exec(compile(text, "<cell>", "exec"), scope)
    session = scope["session"]
    assert isinstance(session, wb.Session)
    return session


@pytest.fixture(scope="module")
def branch(fused: wb.Session) -> wb.Session:
    """A step by hand on another target, a recipe with a hostile name, notes of several lines."""
    other = wb.Target.ethos_u("ethos-u65-512", strategy="size", arena_bytes=262144)
    recipe = wb.Recipe('it\'s "mine"\n)#', (wb.DepthMultiplier(0.75), wb.EvenChannels(multiple=12)))
    state = fused.on(other).apply(recipe).on("ethos-u55-128").apply(wb.ReplaceActivation("hard_swish", ("relu6",)))
    return state.annotate("", "two\nlines").annotate("blocks.2.0", "'quoted'")


def test_pasted_it_is_the_same(branch):
    text = branch.code()
    assert text == code(branch) and text.startswith("import workbench as wb\n")
    again = run(text)
    assert again.graph == branch.graph and again.target == branch.target
    assert [step.planned_on for step in again.steps] == [step.planned_on for step in branch.steps]
    assert again.annotations == branch.annotations and again.undo().graph == branch.undo().graph
    assert again.code() == text


def test_every_parameter_is_written(branch):
    assert "wb.EvenChannels(direction='nearest', multiple=12, blocks='*', importance='magnitude'" in branch.code()


def test_a_module_of_ones_own_is_named():
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 16, 3), torch.nn.ReLU(), torch.nn.Conv2d(16, 8, 1))
    session = wb.open(module, target="ethos-u55-128", input_size=(3, 16, 16)).apply(wb.EvenChannels("up", multiple=24))
    assert "# module: your Sequential" in session.code()
    assert run(session.code(), module=module).graph == session.graph


def test_learned_weights_are_a_comment(session):
    learned = session.with_weights(build_state(session)).apply(wb.FuseIBN(blocks="blocks.1.*"))
    assert "\n# Here weights were learned: " in learned.code()
    assert run(learned.code()).graph == learned.graph
