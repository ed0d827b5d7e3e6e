"""Where a model's weights come from: the file, its digest, and what of it the model does not hold."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

__all__ = ["WeightSource", "digest_of"]


@dataclass(frozen=True)
class WeightSource:
    """The file that weights were read from when a model was opened.

    place: "hub's cache", "hub", "checkpoint", or the weight package with its version. file: its name; at the hub the
    repository, too. sha256: of the whole file, 64 hex digits. left_out: modules of the file's network that the opened
    one does not take from it. anew: modules of the opened one that have initial values (timm's, seed 0) instead.

    >>> print(WeightSource("checkpoint", "garments.safetensors", 64 * "0", ("classifier",), ("classifier",)))
    garments.safetensors (checkpoint, sha256 00000000), all carried but classifier, which starts anew
    """

    place: str
    file: str
    sha256: str
    left_out: tuple[str, ...] = ()
    anew: tuple[str, ...] = ()

    def without(self, left_out: tuple[str, ...], anew: tuple[str, ...]) -> "WeightSource":
        """The same file, with what was not taken from it."""
        return replace(self, left_out=left_out, anew=anew)

    def __str__(self) -> str:
        return f"{self.file} ({self.place}, sha256 {self.sha256[:8]}){self._exceptions()}"

    def _exceptions(self) -> str:
        start = f"{_listed(self.anew)} start{'s' if len(self.anew) == 1 else ''} anew"
        if not self.left_out:
            return f", all carried; {start}" if self.anew else ""
        if self.left_out == self.anew:
            return f", all carried but {_listed(self.left_out)}, which start{'s' if len(self.anew) == 1 else ''} anew"
        return f", all carried but {_listed(self.left_out)}" + (f"; {start}" if self.anew else "")


def digest_of(data: bytes) -> str:
    """The sha256 of bytes, 64 hex digits."""
    return sha256(data).hexdigest()


def _listed(names: Sequence[str]) -> str:
    *first, last = names or ("",)
    return f"{', '.join(first)} and {last}" if first else last
