"""Pretrained weights of timm models: from the hub's cache, an installed weight package, or the hub, in this order."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from ..errors import FileFormatError, WorkbenchError, first_line
from .weight_packages import PACKAGES, WeightPackage, installed, of_package, read_file
from .weight_source import WeightSource, digest_of
from .weights import read_weights

__all__ = ["pretrained_weights", "weights_at_hand"]

# Seconds for the one request that finds out whether the hub answers; its client alone would retry for 50 s.
_HUB_PATIENCE = 5.0
_FILE = "model.safetensors"


def pretrained_weights(name: str, config: Any) -> tuple[dict[str, torch.Tensor], WeightSource]:
    """The weights by timm's names, and where they come from. name, config: timm's.

    A name with a tag ("mobilenetv2_100.ra_in1k") means the hub's weights of that tag, and no package's.
    Raises WorkbenchError where there are none at hand and none can be fetched, FileFormatError for damaged ones.
    """
    from huggingface_hub import try_to_load_from_cache

    repo = getattr(config, "hf_hub_id", None)
    cached = try_to_load_from_cache(repo, _FILE) if repo else None
    package = PACKAGES.get(name)
    if isinstance(cached, str):
        return _of_hub(cached, repo, "hub's cache")
    if package is not None and installed(package) is not None:
        return of_package(package)
    if not repo:
        raise WorkbenchError(f"timm names no pretrained weights for {name}; use pretrained=False or checkpoint=")
    return _of_hub(_fetched(name, repo), repo, "hub")


def weights_at_hand() -> pd.DataFrame:
    """The pretrained weights at hand without a network: those of installed weight packages and of the hub's cache.

    Columns: model (timm's name, for `open(..., pretrained=True)`), source ("package" with its version, or "hub's
    cache"), file, MB, digest (sha256; of the hub's cache as the hub says), accuracy (top-1 on ImageNet, 0 to 1, as the
    authors publish it; NaN where unknown), problem (why a file is not read, or ""). `.attrs["note"]` says how the
    packages that are missing are installed.
    """
    columns = ["model", "source", "file", "MB", "digest", "accuracy", "problem"]
    frame = pd.DataFrame([*_packages(), *_cached()], columns=columns).astype({"MB": float, "accuracy": float})
    missing = [package.command for package in PACKAGES.values() if installed(package) is None]
    frame.attrs["note"] = f"not installed: {'; '.join(f'`{command}`' for command in missing)}" if missing else ""
    return frame


def _of_hub(path: str, repo: str, place: str) -> tuple[dict[str, torch.Tensor], WeightSource]:
    data = Path(path).read_bytes()
    return read_weights(data, repo), WeightSource(place, f"{repo}/{_FILE}", digest_of(data))


def _fetched(name: str, repo: str) -> str:
    """The file from the hub, in its cache; one quick request first, so that offline fails at once."""
    from huggingface_hub import constants, get_session, hf_hub_download

    try:
        if constants.HF_HUB_OFFLINE:
            raise ConnectionError("HF_HUB_OFFLINE is set")
        get_session().head(constants.ENDPOINT, timeout=_HUB_PATIENCE)
        return hf_hub_download(repo, _FILE)
    except Exception as error:  # the hub's client raises its own and its transport's errors, which share no base
        raise WorkbenchError(
            f"the pretrained weights of {name} could not be fetched from {constants.ENDPOINT}/{repo} "
            f"({first_line(error)}); {_instead(name)}"
        ) from error


def _instead(name: str) -> str:
    """What to do where the hub does not answer."""
    if name in PACKAGES:
        return f"`{PACKAGES[name].command}` brings weights of it, or use pretrained=False"
    packaged = ", ".join(PACKAGES)
    return f"use pretrained=False, or checkpoint= with a safetensors file; packages hold those of {packaged}"


def _packages() -> Iterator[tuple[str, str, str, float, str, float, str]]:
    for package in PACKAGES.values():
        version = installed(package)
        if version is not None:
            size, problem = _state_of(package)
            source = f"package {package.package} {version}"
            yield package.architecture, source, package.file, size, package.sha256, package.accuracy, problem


def _state_of(package: WeightPackage) -> tuple[float, str]:
    """MB of an installed package's file, and why it is not read."""
    try:
        return len(read_file(package)) / 1e6, ""
    except FileFormatError as error:
        return float("nan"), str(error)


def _cached() -> Iterator[tuple[str, str, str, float, str, float, str]]:
    """What the hub's cache holds of timm."""
    from huggingface_hub import CacheNotFound, constants, scan_cache_dir

    try:
        repositories = scan_cache_dir(constants.HF_HUB_CACHE).repos
    except CacheNotFound:
        return
    for repository in sorted(repositories, key=lambda repository: repository.repo_id):
        owner, _, model = repository.repo_id.partition("/")
        files = [file for revision in repository.revisions if "main" in revision.refs for file in revision.files]
        for file in files if owner == "timm" else ():
            if file.file_name == _FILE:
                where = f"{repository.repo_id}/{_FILE}"
                yield model, "hub's cache", where, file.size_on_disk / 1e6, file.blob_path.name, float("nan"), ""
