"""Recipes: what a file says is what is applied, on any model; damage is told with its line."""

from dataclasses import MISSING, fields
from pathlib import Path

import pytest

import workbench as wb
from workbench.errors import FileFormatError, InputError, NotApplicable, UnknownName, WorkbenchError
from workbench.recipe import Recipe, from_step, to_step
from workbench.transforms import TRANSFORMS, describe_fully

RECIPES = sorted((Path(__file__).parents[1] / "recipes").glob("*.yaml"))
STEPS = (wb.FuseIBN(blocks="blocks.[12].*"), wb.DepthMultiplier(ratio=0.75), wb.EvenChannels(multiple=16))
VALUES = (wb.Sparsify(pattern="2:4"), wb.Sparsify(0.75, blocks="*[kind!=head]"), wb.ClusterWeights(32))
OPTIONAL = {cls: {f.name for f in fields(cls) if f.default is not MISSING} for cls in TRANSFORMS.values()}
HEAD = "version: 1\nname: mine\n"
STEP = HEAD + "steps:\n- transform: "


@pytest.fixture(scope="module")
def mobilenet() -> wb.Session:
    return wb.open("mobilenetv2_050", target="ethos-u65-512", input_size=(3, 64, 64))


def test_round_trip_keeps_every_parameter(tmp_path):
    recipe = Recipe("mine", (*STEPS, *VALUES), target="ethos-u85-1024", description="größer: schneller\nsecond line")
    assert Recipe.from_yaml(recipe.to_yaml()) == recipe
    path = recipe.save(tmp_path / "mine.yaml")
    assert path.read_text(encoding="utf-8") == recipe.to_yaml()
    assert Recipe.load(path) == recipe
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mine.yaml"]


def test_a_step_reads_as_the_code_that_makes_it():
    for step in (*STEPS, *VALUES):
        assert eval(describe_fully(step), {type(step).__name__: type(step)}) == step


@pytest.mark.parametrize(("name", "size"), [("mobilenetv2_050", (3, 64, 64)), ("mnasnet_small", (3, 96, 64))])
def test_a_recipe_does_what_its_steps_do_by_hand(name, size):
    session = wb.open(name, target="ethos-u85-1024", input_size=size)
    steps = (wb.FuseIBN(blocks="*[kind==ibn, resolution>=8]"), *STEPS[1:])
    by_hand = session
    for step in steps:
        by_hand = by_hand.apply(step)
    by_recipe = session.apply(Recipe.from_yaml(Recipe("mine", steps).to_yaml()))
    assert by_recipe.graph == by_hand.graph
    assert by_recipe.undo() == session  # the whole recipe is one change
    assert Recipe("mine", by_hand.to_recipe().steps) == Recipe("mine", by_recipe.to_recipe().steps)


def test_a_recipe_that_does_not_apply_changes_nothing(mobilenet):
    recipe = Recipe("mine", (wb.DepthMultiplier(ratio=0.75), wb.FuseIBN(blocks="blocks.0.0")))
    with pytest.raises(NotApplicable, match=r"^step 2 of recipe 'mine', FuseIBN\(blocks='blocks.0.0'\): "):
        mobilenet.apply(recipe)
    assert mobilenet.steps == ()


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: p.stem)
def test_the_shipped_recipes_apply(path):
    recipe = Recipe.load(path)
    assert recipe.name == path.stem
    session = wb.open("mobilenetv2_100", target=recipe.target, input_size=(3, 224, 224))
    assert len(session.apply(path).steps) == len(recipe.steps)


def test_a_file_cut_off_anywhere_is_refused():
    text = Recipe("mine", STEPS, target="ethos-u85-1024").to_yaml()
    for end in range(len(text.rstrip())):
        with pytest.raises(FileFormatError):
            Recipe.from_yaml(text[:end])


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        (HEAD + "stepz: []\n", UnknownName, "r.yaml, line 3: unknown key 'stepz'; the nearest is 'steps'"),
        (HEAD, FileFormatError, "r.yaml: the key 'steps' is missing; is the file complete?"),
        ("version: 2\nname: x\nsteps: []\n", FileFormatError, "line 1: version 2 is not one this workbench reads"),
        (STEP + "FuseIBM\n", UnknownName, "r.yaml, line 4: unknown transform 'FuseIBM'; the nearest is 'FuseIBN'"),
        (STEP + "FuseIBN\n  block: x\n", UnknownName, "line 5: unknown option of FuseIBN 'block'; the nearest"),
        (STEP + "DepthMultiplier\n  ratio: half\n", FileFormatError, "line 5: DepthMultiplier: 'ratio' is 'half'"),
        (STEP + "Sparsify\n  pattern: 2:4\n", FileFormatError, "line 5: Sparsify: 'pattern' is 124: "),
        (STEP + "ClusterWeights\n  values: 1\n", InputError, "values is 1; it must be a whole number from 2 to 256"),
        (HEAD + "steps:\n- blocks: x\n", FileFormatError, "line 4: a step needs the key 'transform'; it has 'blocks'"),
        (HEAD + "steps:\n- [\n", FileFormatError, "line 5: "),
        (HEAD + "name: again\nsteps: []\n", FileFormatError, "line 3: the key 'name' is given twice"),
        (HEAD + "steps: !!python/object/apply:os.getcwd []\n", FileFormatError, "line 3: "),
        (HEAD + "a: &a [1, 1]\nsteps: [*a, *a]\n", FileFormatError, "line 4: references (*name) are not allowed"),
        (HEAD + "steps: " + "[" * 5000, FileFormatError, "nested too deeply"),
        ("", FileFormatError, "found nothing"),
        ("? [1]\n: 2\n", FileFormatError, "a key must be a word"),
        ("\0", FileFormatError, "r.yaml: "),
    ],
)  # fmt: skip
def test_a_wrong_file_is_told_in_one_sentence(text, error, said):
    with pytest.raises(error) as caught:
        Recipe.from_yaml(text, "r.yaml")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, WorkbenchError)


def test_paths_are_checked_before_anything_is_written(tmp_path):
    recipe = Recipe("mine", STEPS)
    with pytest.raises(InputError, match=r"try mine\.yaml"):
        recipe.save(tmp_path / "mine.txt")
    with pytest.raises(InputError, match="does not exist"):
        recipe.save(tmp_path / "no" / "mine.yaml")
    assert list(tmp_path.iterdir()) == []
    recipe.save(tmp_path / "mine.yaml")
    with pytest.raises(InputError, match=r"the nearest in that folder is 'mine\.yaml'"):
        Recipe.load(tmp_path / "mein.yaml")
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(FileFormatError, match="not UTF-8"):
        Recipe.load(tmp_path / "bytes.yaml")


def test_only_transforms_are_steps():
    with pytest.raises(InputError, match="'FuseIBN' is not one of the transforms"):
        Recipe("mine", ("FuseIBN",))  # type: ignore[arg-type]


EXAMPLES = [example for cls in TRANSFORMS.values() for example in cls.examples()]


@pytest.mark.parametrize("step", EXAMPLES, ids=describe_fully)
def test_a_recorded_step_holds_its_defaults(step):
    """A default that changes one day changes no recipe that was written before."""
    record = to_step(step)
    assert set(record) == {"transform", *(field.name for field in fields(step))}
    assert from_step(record) == step
    assert all(f"{field.name}=" in describe_fully(step) for field in fields(step))
    short = {name: value for name, value in record.items() if name not in OPTIONAL[type(step)]}
    assert type(from_step(short)) is type(step)  # files written without their defaults read on
