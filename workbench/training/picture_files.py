"""Picture files as networks read them: upright, uint8[height, width, 3] in red, green and blue.

    orientation    a phone stores the picture as its sensor lay and in EXIF how to turn it: it is turned upright, as
                   viewers, OpenCV and labelling tools show it
    16 bits        0 to 65535 becomes 0 to 255 (a 257th); colours keep their high byte
    32 bits        whole numbers and floating point of 0 to 1 (floats), 0 to 255 or 0 to 65535, whichever the largest
                   value fits in first; anything else is refused, as its range is nowhere told
    transparency   is shown on white
    the rest       (palettes, CMYK, 1 bit) as Pillow converts it

Files are opened with care: the data may be a colleague's, or damaged.
"""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

import numpy as np
from PIL import Image

from ..errors import InputError

__all__ = [
    "SUFFIXES",
    "PictureFile",
    "checked",
    "cropped",
    "mask_values",
    "picture_files",
    "stretched",
    "turned_boxes",
    "visible",
]

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")

_KEPT = 1 << 15  # decoded pictures kept; 4 GiB of them at 224 x 224
_NUMBERS = ("1", "L", "P", "I", "I;16", "I;16B", "I;16L")  # kinds of picture with one number per pixel
_KINDS = (*_NUMBERS, "F", "LA", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV")
_LARGEST_16_BIT = 65535
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # of EXIF's orientation, to stand upright
_ORIENTATION = 0x0112


@dataclass(frozen=True)
class PictureFile:
    """A file that opens as a picture.

    digest: of its content and of how it is read. size: (height, width) upright. stored: (height, width) in the file.
    orientation: EXIF's, 1 where the file is upright.
    """

    path: Path
    digest: bytes
    size: tuple[int, int]
    stored: tuple[int, int]
    orientation: int = 1


def visible(folder: Path) -> list[Path]:
    """What a folder holds, by name, without what systems leave in it (`.DS_Store`, `._*`, `__MACOSX`)."""
    return sorted(path for path in folder.iterdir() if not _left_by_a_system(path.name))


def picture_files(folder: Path) -> list[Path]:
    """The pictures below a folder, by their suffixes, in the order of their paths."""
    return sorted(_pictures(folder))


def _pictures(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        hidden = any(_left_by_a_system(name) for name in path.relative_to(folder).parts)
        if path.suffix.lower() in SUFFIXES and not hidden and path.is_file():
            yield path


def _left_by_a_system(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def checked(path: Path) -> PictureFile:
    """The file, read as far as networks will read it; once as long as it stays. Raises InputError for no picture."""
    try:
        stat = path.stat()
    except OSError:  # opening it tells why
        return _checked(path, ())
    return _checked(path, (stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns))


@lru_cache(maxsize=_KEPT)
def _checked(path: Path, stamp: tuple[int, ...]) -> PictureFile:
    """stamp: of the file, which is read again where it differs."""
    picture, orientation = _opened(path)
    _check_kind(picture, path)
    _white(picture, path)
    digest = sha256(path.read_bytes())
    if orientation != 1 or picture.mode not in ("RGB", "L") or picture.has_transparency_data:
        digest.update(f"{picture.mode} {orientation}".encode())  # pictures whose pixels depend on the rules above
    stored = picture.height, picture.width
    upright = stored[::-1] if orientation >= 5 else stored
    return PictureFile(path, digest.digest(), (upright[0], upright[1]), stored, orientation)


@lru_cache(maxsize=_KEPT)
def cropped(path: Path, size: tuple[int, int]) -> np.ndarray:
    """uint8[height, width, 3]: the shorter side scaled to the size, the middle cut out."""
    height, width = size
    picture = _decoded(path)
    scale = max(height / picture.height, width / picture.width)
    scaled = max(width, round(picture.width * scale)), max(height, round(picture.height * scale))
    picture = picture.resize(scaled, Image.Resampling.BILINEAR)
    left, top = (scaled[0] - width) // 2, (scaled[1] - height) // 2
    return np.asarray(picture.crop((left, top, left + width, top + height)))


@lru_cache(maxsize=_KEPT)
def stretched(path: Path, size: tuple[int, int]) -> np.ndarray:
    """uint8[height, width, 3]: all of the picture, its proportions given up; nothing a box or mask names is lost."""
    height, width = size
    return np.asarray(_decoded(path).resize((width, height), Image.Resampling.BILINEAR))


def mask_values(path: Path, picture: PictureFile) -> np.ndarray:
    """The numbers of a mask's pixels, int64[height, width], upright as its picture is.

    A mask is of the upright picture; one that is as large as the picture lies in its file is turned with it. Raises
    InputError for a mask in colours and for one of another size.
    """
    image, orientation = _opened(path)
    if image.mode not in _NUMBERS:
        raise InputError(f"{path} is a picture of kind {image.mode}; a mask has one class number per pixel (kind L)")
    image = _upright(image, orientation)
    if (image.height, image.width) not in (picture.size, picture.stored):
        (height, width), name = picture.size, picture.path.name
        raise InputError(
            f"{path} is {image.width} x {image.height} pixels, where {name} is {width} x {height}: make them equal"
        )
    if (image.height, image.width) != picture.size:
        image = _upright(image, picture.orientation)
    return np.asarray(image).astype(np.int64)


def turned_boxes(boxes: np.ndarray, picture: PictureFile) -> np.ndarray:
    """Boxes float32[k, 4] (left, top, right, bottom) of the picture as it lies in its file -> of the upright one."""
    height, width = picture.stored
    x, y = boxes[:, [0, 2]], boxes[:, [1, 3]]
    mirrored_x, mirrored_y = (width - x)[:, ::-1], (height - y)[:, ::-1]
    new_x, new_y = {
        1: (x, y), 2: (mirrored_x, y), 3: (mirrored_x, mirrored_y), 4: (x, mirrored_y),
        5: (y, x), 6: (mirrored_y, x), 7: (mirrored_y, mirrored_x), 8: (y, mirrored_x),
    }[picture.orientation]  # fmt: skip
    return np.stack([new_x[:, 0], new_y[:, 0], new_x[:, 1], new_y[:, 1]], 1).astype(np.float32)


def _opened(path: Path) -> tuple[Image.Image, int]:
    """The picture as it lies in its file, and EXIF's orientation (1: upright, where there is none)."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of damage to what describes the picture, such as its EXIF
            with Image.open(path) as image:
                image.load()
                return image, _orientation(image)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"{path} is no whole picture ({str(error).rstrip('.')}); mend or remove it") from None


def _orientation(image: Image.Image) -> int:
    try:
        orientation = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # damaged EXIF raises whatever its parser meets, and the pixels are whole
        return 1
    return orientation if orientation in _TURNS else 1


def _upright(image: Image.Image, orientation: int) -> Image.Image:
    return image if orientation == 1 else image.transpose(_TURNS[orientation])


def _decoded(path: Path) -> Image.Image:
    """The picture upright, in kind RGB."""
    image, orientation = _opened(path)
    white = _white(image, path)
    if white is not None:
        grey = np.asarray(image).astype(np.float64) * (255 / white)
        image = Image.fromarray(grey.round().astype(np.uint8))
    elif image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return _upright(image.convert("RGB"), orientation)


def _check_kind(image: Image.Image, path: Path) -> None:
    if image.mode not in _KINDS:
        raise InputError(f"{path} is a picture of kind {image.mode}; save it as RGB, the nearest that is read")


def _white(image: Image.Image, path: Path) -> float | None:
    """The value that becomes 255 in pictures of more than 8 bits; None for all others."""
    if image.mode.startswith("I;16"):
        return _LARGEST_16_BIT
    if image.mode not in ("I", "F"):
        return None
    values = np.asarray(image)
    low, high = float(values.min()), float(values.max())
    if image.format == "PPM":  # 16 bits: Pillow scales its values to the whole range
        return _LARGEST_16_BIT
    for largest in (1.0, 255.0, float(_LARGEST_16_BIT)) if image.mode == "F" else (255.0, float(_LARGEST_16_BIT)):
        if low >= 0 and high <= largest:  # false for NaN
            return largest
    raise InputError(
        f"{path} has 32-bit values from {low:g} to {high:g}; scale them to 0 to 1, 0 to 255 or 0 to {_LARGEST_16_BIT}"
    )
