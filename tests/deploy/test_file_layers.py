"""What int8 does to each layer: the one that spoils most is found, 16 bits mend it, the export names it."""

import copy

import pytest
import torch
from torch import nn

import workbench as wb
from workbench.deploy import converted, culprit, int8_file, layer_errors
from workbench.deploy.file_layers import exported, layers_of
from workbench.errors import InputError, UnknownName

from ..graph.zoo import lively
from ..training.networks import Small, small

pytestmark = pytest.mark.deploy


def spoilt(module: Small) -> Small:
    """The same function with one channel of `body` a thousand times larger: it takes the others' codes."""
    module = copy.deepcopy(module).eval()
    norm, reader = module.body[1], module.last[0]
    assert isinstance(norm, nn.BatchNorm2d)
    assert isinstance(reader, nn.Conv2d)
    with torch.no_grad():
        norm.weight[3] = norm.weight[3].abs() * 1000
        norm.bias[3] = norm.bias[3].abs() * 1000 + 100  # positive, whatever the ReLU
        reader.weight[:, 3] /= 1000
    return module


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORKBENCH_HOME", str(tmp_path_factory.mktemp("home")))
        return wb.open(small(), input_size=(3, 16, 16)).finetune("digits", epochs=6, learning_rate=1e-2, batch_size=32)


@pytest.fixture(scope="module")
def images():
    return torch.randn(16, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def test_the_planted_culprit_is_found_and_16_bits_mend_it(images):
    session = wb.open(spoilt(small()), input_size=(3, 16, 16))
    errors = session.int8_fidelity(images)
    assert list(errors.layer) == ["stem.0", "body.0", "last.0", "head", "network"]
    assert list(errors.kind) == ["conv2d", "conv2d", "conv2d", "linear", ""]
    assert culprit(errors).startswith("body.0 ")
    rows = errors.set_index("layer")
    assert rows.spread["body.0"] > 100 > 10 > rows.drop("body.0").spread.max()
    assert rows.error["body.0"] < 0.05 < 0.5 < rows.error["last.0"]  # the large channel hides what the others lost
    assert rows.own["body.0"] > 3 * rows.own.drop(["body.0", "network"]).max()

    wide = session.int8_fidelity(images, activations="int16").set_index("layer")
    mixed = session.int8_fidelity(images, int16_layers=("body",)).set_index("layer")
    assert (wide.bits == 16).all()
    assert dict(mixed.bits) == {"stem.0": 8, "body.0": 16, "last.0": 16, "head": 8, "network": 8}
    for mended in (wide, mixed):
        assert mended.error["network"] < rows.error["network"] / 2
        assert mended.own["body.0"] < 0.1


def test_mixed_precision_compiles(learned, images, tmp_path):
    kinds = {}
    for name, options in {
        "int8": {},
        "int16": {"activations": "int16"},
        "mixed": {"int16_layers": ("body",)},
    }.items():
        (row,) = learned.export(tmp_path / f"{name}.tflite", images, **options).to_dict("records")
        assert row["status"] == "compiled"
        assert not row["left_to_cpu"]
        kinds[name] = row["dtype"], row["sram_kib"]
    assert [dtype for dtype, _ in kinds.values()] == ["int8", "int16", "int8 and int16"]
    assert kinds["int8"][1] < kinds["int16"][1]


def test_export_names_the_culprit_where_int8_loses_a_point(learned, tmp_path):
    (row,) = learned.export(tmp_path / "good.tflite", task="digits").to_dict("records")
    assert row["culprit"] == ""
    bad = learned.with_weights(spoilt(learned.build()))
    (row,) = bad.export(tmp_path / "bad.tflite", task="digits").to_dict("records")
    assert row["module"] - row["exported"] > 0.01
    assert row["culprit"].startswith("body.0 ")
    # not all of it comes back: weights a thousand times smaller than their neighbours round to nothing
    (mixed,) = bad.export(tmp_path / "mixed.tflite", task="digits", int16_layers=("body.0",)).to_dict("records")
    assert mixed["module"] - mixed["exported"] < (row["module"] - row["exported"]) / 2
    assert bad.evaluate("digits", dtype="int16").value == pytest.approx(mixed["exported"], abs=0.01)


def test_every_layer_of_a_timm_model_finds_its_operator():
    module = lively("mobilenetv3_small_050")  # squeeze-excite, hard-swish
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    made = converted(module, images)
    layers = layers_of(exported(module, images), made.floats)
    assert [layer.path for layer in layers] == [
        name for name, child in module.named_modules() if isinstance(child, nn.Conv2d | nn.Linear)
    ]
    assert {layer.kind for layer in layers} == {"conv2d", "depthwise", "linear"}
    errors = layer_errors(module, made.floats, made.data, images)
    assert errors.own[:-1].notna().all()
    # what is coded alone is what the file does: the first layer has nothing before it
    assert errors.error[0] < 0.1


def test_ranges_are_as_wide_as_the_calibration_images(images):
    module = small().eval()
    images = images.clone()
    images[5] *= 10  # one bright picture among many
    made = converted(module, images)
    with torch.inference_mode():
        wanted = float(module.stem(images).max())
    assert layer_errors(module, made.floats, made.data, images[:2]).high[0] == pytest.approx(wanted, rel=0.01)


def test_what_cannot_be_asked_for(images, tmp_path):
    with pytest.raises(UnknownName, match="unknown activations 'int4'; the nearest is 'int8'"):
        int8_file(small(), images, "int4")
    with pytest.raises(UnknownName, match=r"unknown layer 'bdy\.0'; the nearest is 'body\.0'"):
        int8_file(small(), images, int16_layers=("bdy.0",))
    with pytest.raises(InputError, match="must be a tuple of patterns"):
        int8_file(small(), images, int16_layers="body")
    with pytest.raises(InputError, match="leave out int16_layers"):
        int8_file(small(), images, "int16", ("body",))
    session = wb.open(small(), input_size=(3, 16, 16))
    with pytest.raises(InputError, match=r"an \.onnx file holds floats"):
        session.export(tmp_path / "file.onnx", activations="int16")
    with pytest.raises(UnknownName, match="unknown dtype 'int4'"):
        session.evaluate("digits", dtype="int4")
    assert not list(tmp_path.iterdir())
