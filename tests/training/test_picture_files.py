"""Picture files of every kind, read as Pillow and arithmetic say."""

import numpy as np
import pytest
from PIL import Image, ImageOps

from workbench.errors import InputError
from workbench.training.picture_files import checked, cropped, picture_files, stretched, turned_boxes

RAMP = np.linspace(0, 1, 64)[None].repeat(48, 0)  # dark on the left, light on the right
GREY = np.round(255 * RAMP).astype(np.uint8)


def read(image, path, **options):
    image.save(path, **options)
    checked(path)
    return stretched(path, (image.height, image.width))


def photograph(random, height=24, width=40):
    """Smooth colours, so that JPEG keeps them, and no symmetry."""
    small = Image.fromarray(random.integers(0, 255, (4, 5, 3), dtype=np.uint8))
    return small.resize((width, height), Image.Resampling.BICUBIC)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("16-bit.png", np.round(65535 * RAMP).astype(np.uint16)),
        ("16-bit.tif", np.round(65535 * RAMP).astype(np.uint16)),
        ("16-bit.pgm", np.round(65535 * RAMP).astype(np.uint16)),
        ("32-bit.tif", np.round(65535 * RAMP).astype(np.int32)),
        ("bytes-in-32-bit.tif", np.round(255 * RAMP).astype(np.int32)),
        ("shares.tif", RAMP.astype(np.float32)),
        ("bytes-as-floats.tif", (255 * RAMP).astype(np.float32)),
        ("16-bit-as-floats.tiff", (65535 * RAMP).astype(np.float32)),
    ],
)
def test_deep_pictures_keep_their_range(tmp_path, name, values):
    pixels = read(Image.fromarray(values), tmp_path / name)
    assert pixels.shape == (48, 64, 3) and pixels.dtype == np.uint8
    assert np.abs(pixels.astype(int) - (255 * RAMP)[..., None]).max() <= 0.51
    assert np.array_equal(cropped(tmp_path / name, (48, 64)), pixels)


def test_dark_16_bit_pictures_stay_dark(tmp_path):
    """A file of 16 bits has the range of 16 bits, whatever it holds."""
    assert read(Image.fromarray(np.full((8, 8), 514, np.uint16)), tmp_path / "dark.png").max() == 2


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.float32([[-1, 1]]), "32-bit values from -1 to 1; scale them to 0 to 1, 0 to 255 or 0 to 65535"),
        (np.float32([[0, 1e6]]), "32-bit values from 0 to 1e\\+06"),
        (np.float32([[0, np.nan]]), "32-bit values from nan to nan"),
        (np.int32([[0, 70000]]), "32-bit values from 0 to 70000"),
    ],
)
def test_ranges_that_nobody_can_know_are_refused(tmp_path, values, message):
    Image.fromarray(values).save(tmp_path / "deep.tif")
    with pytest.raises(InputError, match=message) as told:
        checked(tmp_path / "deep.tif")
    assert "deep.tif" in str(told.value) and "\n" not in str(told.value)


def test_kinds_of_colours(tmp_path):
    picture = photograph(np.random.default_rng(0))
    plain = np.asarray(picture)
    assert np.array_equal(read(picture, tmp_path / "rgb.png"), plain)
    assert np.array_equal(read(Image.fromarray(GREY), tmp_path / "grey.png"), GREY[..., None].repeat(3, -1))
    bits = Image.fromarray(GREY > 127)
    assert bits.mode == "1"
    assert np.array_equal(read(bits, tmp_path / "bits.png")[..., 0], 255 * (GREY > 127))
    palette = picture.quantize(8)
    assert np.array_equal(read(palette, tmp_path / "palette.png"), np.asarray(palette.convert("RGB")))
    inks = read(picture.convert("CMYK"), tmp_path / "inks.jpg", quality=98)
    assert np.abs(inks.astype(int) - plain).mean() < 6  # and not its negative
    with pytest.raises(InputError, match=r"lab.tif is a picture of kind LAB; save it as RGB"):
        read(Image.new("LAB", (4, 4)), tmp_path / "lab.tif")


def over_white(colours, alpha):
    """colours uint8[h, w, 3] of opacity uint8[h, w]: by arithmetic."""
    share = alpha[..., None] / 255
    return colours * share + 255 * (1 - share)


def test_transparency_shows_white(tmp_path):
    random = np.random.default_rng(1)
    colours, alpha = random.integers(0, 255, (2, 20, 30, 3), dtype=np.uint8)
    alpha = alpha[..., 0]
    for name in ("rgba.png", "rgba.webp", "rgba.tif"):
        options = {"lossless": True, "exact": True} if name.endswith("webp") else {}
        pixels = read(Image.fromarray(np.dstack([colours, alpha])), tmp_path / name, **options)
        assert np.abs(pixels - over_white(colours, alpha)).max() <= 1.01
    grey = colours[..., 0]
    pixels = read(Image.fromarray(np.dstack([grey, alpha])), tmp_path / "la.png")
    assert np.abs(pixels[..., 0] - over_white(grey[..., None], alpha)[..., 0]).max() <= 1.01
    palette = Image.fromarray(np.array([[0, 1, 2]], np.uint8).repeat(2, 0), "P")
    palette.putpalette([0, 0, 0, 10, 20, 30, 200, 100, 50])
    pixels = read(palette, tmp_path / "palette.png", transparency=0)
    assert pixels[0].tolist() == [[255, 255, 255], [10, 20, 30], [200, 100, 50]]
    keyed = read(Image.fromarray(np.uint8([[0, 7, 9]])), tmp_path / "keyed.png", transparency=0)
    assert keyed[0, :, 0].tolist() == [255, 7, 9]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
def test_pictures_stand_upright(tmp_path, orientation, suffix):
    stored = photograph(np.random.default_rng(2))
    tags = Image.Exif()
    tags[0x0112] = orientation
    path = tmp_path / f"phone.{suffix}"
    stored.save(path, exif=tags, **({"quality": 95} if suffix != "tif" else {}))
    with Image.open(path) as image:
        upright = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    file = checked(path)
    assert file.size == upright.shape[:2]
    assert np.array_equal(stretched(path, file.size), upright)
    assert np.array_equal(cropped(path, file.size), upright)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_boxes_turn_with_their_picture(tmp_path, orientation):
    """A rectangle painted in the stored picture, looked for in the upright one."""
    pixels = np.zeros((24, 40, 3), np.uint8)
    pixels[3:9, 5:25] = 255
    tags = Image.Exif()
    tags[0x0112] = orientation
    Image.fromarray(pixels).save(tmp_path / "box.png", exif=tags)
    file = checked(tmp_path / "box.png")
    rows, columns = np.nonzero(stretched(file.path, file.size)[..., 0])
    where = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    assert turned_boxes(np.float32([[5, 3, 25, 9]]), file).tolist() == [where]


def test_damaged_exif_is_no_reason_to_refuse(tmp_path):
    path = tmp_path / "phone.jpg"
    Image.fromarray(GREY).save(path, exif=b"Exif\x00\x00MM\x00\x2a\xff\xff\xff\xff")
    assert checked(path).orientation == 1
    tags = Image.Exif()
    tags[0x0112] = 77
    Image.fromarray(GREY).save(path, exif=tags)
    assert checked(path).size == (48, 64)


def test_digests_tell_turned_pictures_from_upright_ones(tmp_path):
    tags = Image.Exif()
    tags[0x0112] = 6
    Image.fromarray(GREY).save(tmp_path / "turned.png", exif=tags)
    Image.fromarray(GREY).save(tmp_path / "upright.png")
    assert checked(tmp_path / "turned.png").digest != checked(tmp_path / "upright.png").digest


def test_what_systems_leave_behind_is_no_picture(tmp_path):
    for name in ("0.JPG", "._0.JPG", ".hidden/1.png", "__MACOSX/2.png", "more/3.png", "Thumbs.db", ".DS_Store"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "folder.png").mkdir()
    assert [path.relative_to(tmp_path).as_posix() for path in picture_files(tmp_path)] == ["0.JPG", "more/3.png"]


def test_a_file_is_read_once_as_long_as_it_stays(tmp_path):
    path, random = tmp_path / "photograph.png", np.random.default_rng(0)
    photograph(random).save(path)
    before = checked(path)
    assert checked(path) is before
    photograph(random).save(path)
    assert checked(path).digest != before.digest
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(InputError, match="no whole picture"):
        checked(path)
