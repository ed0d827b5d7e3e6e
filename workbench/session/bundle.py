"""A bundle: one zip with everything a colleague needs to use a result, and to check it.

    bundle.yaml             what it is of, versions, every figure, and the digests of the other members
    session.wb              the network, its steps, its weights and the notes
    recipe.yaml             the steps alone, where there are any
    notebook.ipynb          the steps as code, with what each gave
    page.html               the page to read
    deployed.tflite         the int8 file that runs on the device
    compiler.csv            what the compiler says of that file, one row per operator
    images.safetensors      the images its ranges were found on; replaced blocks and batch norms follow from them, too

`bundle_check.py` derives every figure again from the session and the file alone. All members are data: none of them
is run, nothing is unpickled.
"""

from collections.abc import Mapping, Set
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import torch
import yaml
from pydantic import BaseModel, ConfigDict

from ..deploy import int8_file
from ..errors import InputError
from ..files import check_folder, nearest_file, packed, read_yaml, unpacked, write_atomic
from ..recipe import check as checked
from ..report import notebook, page
from ..state import State, check_images, read_weights
from ..surgery import build_state
from ..training import Task, resolve_task
from .figures import Derived, derive
from .files import save
from .learning import images_of

__all__ = ["Bundle", "bundle", "read", "versions"]

_TEXT = "bundle.yaml"
_NEEDED = ("session.wb", "deployed.tflite", "images.safetensors")
_MEMBERS = (*_NEEDED, "recipe.yaml", "notebook.ipynb", "page.html", "compiler.csv")
_TOOLS = ("torch", "timm", "ethos-u-vela", "litert-torch", "ai-edge-quantizer", "ai-edge-litert")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Figure(_Strict):
    of: str
    figure: str
    how: Literal["counted", "estimated", "compiled", "run"]
    value: float | int
    low: float | None = None  # of a score: its 95 % interval, and the pictures it is of
    high: float | None = None
    pictures: int | None = None
    difference: str = ""  # of the file's score from the module's, in words


class _Task(_Strict):
    name: str
    digest: str


class _File(_Strict):
    version: Literal[1]
    made: str
    model: str
    target: str
    target_digest: str
    graph: str
    task: _Task | None = None
    versions: dict[str, str]
    members: dict[str, str]
    figures: list[_Figure]


@dataclass(frozen=True, eq=False)
class Bundle:
    """What a bundle holds. contents: its bundle.yaml. members: name -> bytes, without that."""

    contents: _File
    members: Mapping[str, bytes]

    @property
    def images(self) -> torch.Tensor:
        return read_weights(self.members["images.safetensors"], "images.safetensors")["images"]


def bundle(
    state: State,
    path: Path,
    calibration: torch.Tensor | None = None,
    task: str | Path | Task | None = None,
) -> Path:
    """See `Session.bundle`."""
    if path.suffix != ".zip":
        raise InputError(f"a bundle is a .zip, not {path.suffix or path.name!r}; try {path.stem}.zip")
    check_folder(path)
    data = None if task is None else resolve_task(task)
    if calibration is not None:
        check_images(calibration, "calibration", state.input_size)
    elif data is None:
        raise InputError("a bundle holds the int8 file, whose ranges come from images: give calibration= or task=")
    images = images_of(state, data) if calibration is None and data is not None else calibration
    assert images is not None
    with TemporaryDirectory() as folder:
        members = {"session.wb": save(state, Path(folder) / "session.wb").read_bytes()}
    module = build_state(state, images)
    members["deployed.tflite"] = int8_file(module, images)
    derived = derive(state, module, members["deployed.tflite"], images, data)
    members["images.safetensors"] = _packed(images)
    if state.steps:
        members["recipe.yaml"] = state.to_recipe().to_yaml().encode()
    members["notebook.ipynb"] = notebook(state).encode()
    compiled = derived.compiled
    members["page.html"] = page(state, compiled=compiled.get("now"), compiled_before=compiled.get("as opened")).encode()
    if "int8 file" in compiled:
        members["compiler.csv"] = compiled["int8 file"].ops.to_csv(index=False).encode()
    contents = {
        "version": 1,
        "made": datetime.now(UTC).date().isoformat(),
        "model": state.model_name,
        "target": state.target.name,
        "target_digest": state.target.digest,
        "graph": state.graph.digest,
        **({} if data is None else {"task": {"name": data.name, "digest": data.digest}}),
        "versions": versions(),
        "members": {name: sha256(member).hexdigest() for name, member in members.items()},
        "figures": _figures(derived),
    }
    text = yaml.safe_dump(contents, sort_keys=False, allow_unicode=True, explicit_start=True, explicit_end=True)
    return write_atomic(path, packed({_TEXT: text.encode(), **members}))


def read(path: Path) -> Bundle:
    """What a bundle holds; names, sizes and bundle.yaml are checked, digests are not."""
    path = nearest_file(path, "bundle", (".zip",))
    text, members = unpacked(path, "bundle", _TEXT, _wrong)
    source = f"{path.name}, {_TEXT}"
    content, root = read_yaml(text, source)
    return Bundle(checked(_File, content, root, source), members)


def _wrong(names: Set[str]) -> str:
    missing = [name for name in (_TEXT, *_NEEDED) if name not in names]
    foreign = sorted(names - {_TEXT, *_MEMBERS})
    if not missing and not foreign:
        return ""
    problem = f"{missing[0]} is missing" if missing else f"{foreign[0] or 'a name twice'!r} does not belong"
    return f"is no bundle: {problem}; it holds {_TEXT}, {', '.join(_MEMBERS)}"


def _packed(images: torch.Tensor) -> bytes:
    from safetensors.torch import save as to_bytes

    return to_bytes({"images": images.detach().cpu().float().contiguous().clone()})


def _figures(derived: Derived) -> list[dict[str, Any]]:
    rows = []
    for f in derived.figures:
        row: dict[str, Any] = {"of": f.of, "figure": f.name, "how": f.how, "value": f.value}
        if f.interval is not None:
            row |= {"low": f.interval[0], "high": f.interval[1], "pictures": f.pictures}
        rows.append(row | ({"difference": f.difference} if f.difference else {}))
    return rows


def versions() -> dict[str, str]:
    """What figures depend on: the workbench, the compiler, the converter."""
    numbers = {"workbench": version("nas-workbench")}
    for package in _TOOLS:
        with suppress(PackageNotFoundError):
            numbers[package] = version(package)
    return numbers
