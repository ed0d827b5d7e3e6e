"""The state of a training in one safetensors file, written whole after each epoch, named by what determines it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import WorkbenchError
from ..files import home, write_atomic

__all__ = ["Checkpoint", "checkpoint_file", "digest_of", "prune"]

_KEPT = 8  # files; older ones go


@dataclass(frozen=True)
class Checkpoint:
    """state: of the module. averaged: of its moving average (empty without). optimizer: (parameter, name) -> tensor.
    epochs: one row per epoch done.
    """

    state: Mapping[str, Tensor]
    averaged: Mapping[str, Tensor]
    optimizer: Mapping[tuple[int, str], Tensor]
    epochs: tuple[Mapping[str, float], ...]

    def write(self, path: Path) -> None:
        from safetensors.torch import save

        tensors = {f"state/{k}": v for k, v in self.state.items()}
        tensors |= {f"averaged/{k}": v for k, v in self.averaged.items()}
        tensors |= {f"optimizer/{i}/{k}": v for (i, k), v in self.optimizer.items()}
        path.parent.mkdir(parents=True, exist_ok=True)
        copies = {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}
        write_atomic(path, save(copies, {"epochs": json.dumps(self.epochs)}))

    @staticmethod
    def read(path: Path) -> "Checkpoint | None":
        """What the file holds; None where there is no whole one."""
        from safetensors import SafetensorError, safe_open

        parts: dict[str, dict[Any, Tensor]] = {"state": {}, "averaged": {}, "optimizer": {}}
        try:
            with safe_open(path, "pt") as file:
                for key in file.keys():  # noqa: SIM118  it is no mapping
                    part, _, name = key.partition("/")
                    index, _, inner = name.partition("/")
                    parts[part][(int(index), inner) if part == "optimizer" else name] = file.get_tensor(key)
                epochs = tuple(json.loads(file.metadata()["epochs"]))
        except (FileNotFoundError, SafetensorError, KeyError, ValueError, TypeError):
            return None
        return Checkpoint(parts["state"], parts["averaged"], parts["optimizer"], epochs)


def digest_of(*parts: Any) -> str:
    """16 hex digits of text, numbers and state dicts."""
    digest = sha256()
    for part in parts:
        if isinstance(part, Mapping):
            for key, value in part.items():
                digest.update(f"{key} {value.dtype} {tuple(value.shape)} ".encode())
                digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
        elif isinstance(part, (str, int, float, tuple)) or part is None:
            digest.update(f"{part!r} ".encode())
        else:
            raise WorkbenchError(f"no digest of a {type(part).__name__}")
    return digest.hexdigest()[:16]


def checkpoint_file(digest: str) -> Path:
    """Where the training of this digest keeps its file."""
    return home() / "training" / f"{digest}.safetensors"


def prune() -> None:
    """Remove all but the newest files."""
    files = sorted(home().glob("training/*.safetensors"), key=lambda file: file.stat().st_mtime)
    for file in files[:-_KEPT]:
        file.unlink(missing_ok=True)
