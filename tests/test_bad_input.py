"""Bad input, as users type it: one sentence with the value and the nearest valid one; nothing written or changed."""

from pathlib import Path

import pytest
import torch

import workbench as wb
from workbench.errors import FileFormatError, InputError, NotApplicable, TraceError, UnknownName, WorkbenchError

SIZE = (3, 64, 64)


@pytest.fixture(scope="module")
def session() -> wb.Session:
    return wb.open("mobilenetv2_050", target="ethos-u65-512", input_size=SIZE)


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def said_by(kind: type[WorkbenchError], *parts: str):
    """The context in which exactly one sentence is raised that has every part in it."""
    return pytest.raises(kind, match=r"(?s)\A" + "".join(f"(?=.*{part})" for part in parts) + r"[^\n]{10,400}\Z")


class Branches(torch.nn.Module):
    """Chooses by value what to compute: nothing torch.export can follow."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * 2 if x.sum() > 0 else x


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("mobilenetv2_1000", "mobilenetv2_100"), ("resnet_18", "resnet18"), ("", ""), ("mobilenetv2_100.nope", "ra_in1k")],
)
def test_unknown_model(name, nearest):
    with said_by(UnknownName, repr(name), "nearest", nearest):
        wb.open(name)


def test_unknown_target(session):
    with said_by(UnknownName, "'ethos-u65-521'", "nearest", "'ethos-u65-512'"):
        wb.open("mobilenetv2_050", target="ethos-u65-521")
    with said_by(UnknownName, "'ethos-u55-129'", "'ethos-u55-128'"):
        session.on("ethos-u55-129")


@pytest.mark.parametrize("pattern", ["blocks.9.*", "block.1.0", "conv_steam"])
def test_unknown_block_pattern(session, pattern):
    with said_by(UnknownName, f"'{pattern}'".replace("*", r"\*"), "nearest"):
        session.apply(wb.FuseIBN(blocks=pattern))
    assert session.steps == ()


def test_predicate_on_a_fact_that_does_not_exist(session):
    with said_by(InputError, "resolutoin", "resolution"):
        session.apply(wb.FuseIBN(blocks="blocks.*[resolutoin>=8]"))


def test_selected_blocks_that_cannot_take_the_transform(session):
    with said_by(NotApplicable, "blocks.0.0"):
        session.apply(wb.FuseIBN(blocks="blocks.0.0"))


@pytest.mark.parametrize(
    "make",
    [
        lambda: wb.DepthMultiplier(ratio=0),
        lambda: wb.DepthMultiplier(ratio=-1),
        lambda: wb.EvenChannels(direction="upp"),
        lambda: wb.EvenChannels(multiple=0),
    ],
)
def test_transform_options_out_of_range(make):
    with said_by(InputError):
        make()


def test_unknown_transform_options_in_recipes(session):
    Path("r.yaml").write_text("version: 1\nname: r\nsteps:\n- transform: EvenChannels\n  direktion: up\n")
    with said_by(UnknownName, "r.yaml, line 5", "'direktion'", "'direction'"):
        session.apply("r.yaml")
    Path("r.yaml").write_text("version: 1\nname: r\nsteps:\n- transform: EvenChannels\n  direction: upp\n")
    with said_by(WorkbenchError, "r.yaml, line [45]", "upp", "up"):
        session.apply("r.yaml")


def test_things_that_are_no_change(session):
    with said_by(InputError, "FuseIBN", r"try FuseIBN\(\)"):
        session.apply(wb.FuseIBN)
    with said_by(InputError, "42"):
        session.apply(42)
    with said_by(InputError, "transform"):
        session.apply()


@pytest.mark.parametrize(
    ("size", "parts"),
    [
        ((0, 64, 64), (r"\(0, 64, 64\)", "above zero")),
        ((3, 0, 64), (r"\(3, 0, 64\)", "above zero")),
        ((3, -64, 64), ("above zero",)),
        ((3, 64), ("three whole numbers",)),
        ((3, 64.0, 64), ("three whole numbers",)),
        (64, ("three whole numbers",)),
        ("64", ("three whole numbers",)),
    ],
)
def test_input_sizes(size, parts):
    with said_by(InputError, *parts):
        wb.open("mobilenetv2_050", input_size=size)


def test_a_non_square_input_is_a_size_like_any_other():
    session = wb.open("mobilenetv2_050", input_size=(3, 64, 96))
    assert session.input_size == (3, 64, 96)
    assert session.graph.inputs[0].shape == (1, 3, 64, 96)


def test_a_module_that_cannot_be_traced():
    with said_by(TraceError, "Branches"):
        wb.open(Branches(), input_size=SIZE)
    with said_by(WorkbenchError, "Conv2d"):
        wb.open(torch.nn.Conv2d(3, 8, 3), input_size=(1, 64, 64))
    with said_by(InputError, "input_size"):
        wb.open(torch.nn.Conv2d(3, 8, 3))
    with said_by(InputError, "int", "mobilenetv2_100"):
        wb.open(18)


def test_pretrained_weights_that_cannot_be_fetched(monkeypatch, tmp_path):
    """An address nobody answers stands for a machine without a network; it must not take minutes to say so."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with said_by(WorkbenchError, "mobilenetv2_050", "could not be fetched", "pretrained=False"):
        wb.open("mobilenetv2_050", pretrained=True)


def test_checkpoints_that_do_not_fit(tmp_path):
    from safetensors.torch import save_file

    path = tmp_path / "weights.safetensors"
    net = torch.nn.Conv2d(3, 8, 3)
    size = (3, 16, 16)
    save_file({"weight": torch.zeros(8, 3, 3, 3), "bais": torch.zeros(8)}, path)
    with said_by(FileFormatError, "'bais'", "'bias'"):
        wb.open(net, input_size=size, checkpoint=path)
    save_file({"weight": torch.zeros(8, 3, 3, 3)}, path)
    with said_by(FileFormatError, "'bias' is missing"):
        wb.open(net, input_size=size, checkpoint=path)
    save_file({"weight": torch.zeros(8, 3, 1, 1), "bias": torch.zeros(8)}, path)
    with said_by(FileFormatError, r"\(8, 3, 1, 1\)", r"\(8, 3, 3, 3\)"):
        wb.open(net, input_size=size, checkpoint=path)
    path.write_bytes(path.read_bytes()[:50])
    with said_by(FileFormatError, "weights.safetensors"):
        wb.open(net, input_size=size, checkpoint=path)
    with said_by(InputError, "'wights.safetensors'", "'weights.safetensors'"):
        wb.open(net, input_size=size, checkpoint="wights.safetensors")


def test_nothing_is_written_where_a_path_is_wrong(session, tmp_path):
    for write, name in [(session.save, "a.zip"), (session.share, "a.pdf"), (session.export, "a.onx")]:
        with said_by(InputError, name.partition(".")[2]):
            write(name)
        with said_by(InputError, "does not exist"):
            write(f"no-folder/a.{ {'a.zip': 'wb', 'a.pdf': 'html', 'a.onx': 'onnx'}[name] }")
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_the_old_file(session, tmp_path):
    path = session.save(tmp_path / "tuned.wb")
    before = path.read_bytes()
    with said_by(InputError, "zip"):
        session.save(tmp_path / "tuned.zip")
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["tuned.wb"]
