"""Picture files, opened with care: the data may be a colleague's, or damaged."""

from functools import lru_cache
from hashlib import sha256
from pathlib import Path

import numpy as np
from PIL import Image

from ..errors import InputError

__all__ = ["HELD", "SUFFIXES", "checked", "cropped", "found", "mask", "stretched"]

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".webp")
HELD = 5  # every so many pictures one is for validation, where folders do not say which
_KEPT = 1 << 15  # decoded pictures kept; 4 GiB of them at 224 x 224
_FLAT = ("1", "L", "P", "I", "I;16")  # kinds of PNG with one number per pixel


def found(folder: Path) -> list[Path]:
    """The pictures below a folder, by their suffixes."""
    return sorted(one for one in folder.rglob("*") if one.suffix.lower() in SUFFIXES)


def checked(path: Path) -> tuple[bytes, tuple[int, int]]:
    """A digest of the file, which must open as a picture, and its (height, width)."""
    picture = _opened(path)
    return sha256(path.read_bytes()).digest(), (picture.height, picture.width)


@lru_cache(maxsize=_KEPT)
def cropped(path: Path, size: tuple[int, int]) -> np.ndarray:
    """uint8[height, width, 3]: the shorter side scaled to the size, the middle cut out."""
    height, width = size
    picture = _opened(path).convert("RGB")
    scale = max(height / picture.height, width / picture.width)
    grown = max(width, round(picture.width * scale)), max(height, round(picture.height * scale))
    picture = picture.resize(grown, Image.Resampling.BILINEAR)
    left, top = (grown[0] - width) // 2, (grown[1] - height) // 2
    return np.asarray(picture.crop((left, top, left + width, top + height)))


@lru_cache(maxsize=_KEPT)
def stretched(path: Path, size: tuple[int, int]) -> np.ndarray:
    """uint8[height, width, 3]: all of the picture, its proportions given up; nothing a box or mask names is lost."""
    height, width = size
    return np.asarray(_opened(path).convert("RGB").resize((width, height), Image.Resampling.BILINEAR))


def mask(path: Path) -> np.ndarray:
    """The numbers of a mask's pixels, int64[height, width]. Raises InputError for a picture in colours."""
    picture = _opened(path)
    if picture.mode not in _FLAT:
        raise InputError(f"{path} is a picture of kind {picture.mode}; a mask has one class number per pixel (kind L)")
    return np.asarray(picture).astype(np.int64)


def _opened(path: Path) -> Image.Image:
    try:
        with Image.open(path) as image:
            image.load()
            return image
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"{path} is no whole picture ({str(error).rstrip('.')}); mend or remove it") from None
