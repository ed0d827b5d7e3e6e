"""Rooms with furniture and people, one picture per number: labels, boxes and masks come with it.

    numbers   the instance at every pixel: 0 wall, 1 floor, 2 and up the things

Each picture is a function of (seed, index) alone, so data needs no download and any of it can be made again. Made hard
on purpose: people are near and far, stand, walk, bend and sit, half behind furniture or out of the picture; coat
stands with hats and posters of people are none; light, colours and noise change from room to room.
"""

from dataclasses import dataclass

import numpy as np

from .canvas import Camera, Canvas, Colour, Limb, Point, Shape
from .furniture import FURNITURE, SEATS
from .people import coat_stand, person

__all__ = ["CLASSES", "STUFF", "Room", "room"]

STUFF = ("wall", "floor")
CLASSES = ("person", "chair", "table", "sofa", "lamp", "cabinet")
_SMALLEST = 0.0012  # share of the picture a thing must show to count
_FRONT = 0.35  # people stand in this share of a room's depth: behind it they are a handful of pixels


@dataclass(frozen=True, eq=False)
class Room:
    """image uint8[size, size, 3]; mask uint8[size, size], an index into STUFF + CLASSES; boxes float32[n, 4] in pixels
    (left, top, right, bottom) and labels int64[n], an index into CLASSES, of the things that show enough.
    """

    image: np.ndarray
    mask: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray

    @property
    def somebody(self) -> bool:
        """Whether a person is in the picture."""
        return bool((self.labels == CLASSES.index("person")).any())


def room(seed: int, index: int, size: int = 96) -> Room:
    """The picture of that number.

    >>> picture = room(0, 3)
    >>> picture.image.shape, picture.boxes.shape[1], bool(picture.mask.max() < 8)
    ((96, 96, 3), 4, True)
    """
    random = np.random.default_rng([seed, index])
    camera = Camera(random.uniform(0.65, 1.1), random.uniform(0.9, 2.1), random.uniform(0.25, 0.5))
    canvas = Canvas(size, camera)
    deep, wide = random.uniform(3.5, 6.0), random.uniform(3.0, 5.5)
    offset = random.uniform(-0.25, 0.25) * wide
    _walls(canvas, random, deep, wide, offset)
    things = _furnished(random, deep, wide, offset, people=int(random.integers(1, 4)) if random.random() < 0.5 else 0)
    kinds = ["wall", "floor"]
    for kind, shapes in sorted(things, key=lambda thing: -float(np.mean([shape.depth for shape in thing[1]]))):
        canvas.shapes(shapes, len(kinds) if kind else 0)
        if kind:
            kinds.append(kind)
    return _labelled(_lit(canvas.image(), random), canvas.numbers(), kinds)


def _labelled(image: np.ndarray, numbers: np.ndarray, kinds: list[str]) -> Room:
    names = STUFF + CLASSES
    mask = np.array([names.index(kind) for kind in kinds], np.uint8)[numbers]
    boxes, labels = [], []
    for number, kind in enumerate(kinds[2:], 2):
        rows, columns = np.nonzero(numbers == number)
        if len(rows) >= max(4, _SMALLEST * numbers.size):
            boxes.append((columns.min(), rows.min(), columns.max() + 1, rows.max() + 1))
            labels.append(CLASSES.index(kind))
        elif kind == "person":
            mask[numbers == number] = 0  # too little of somebody to say so
    return Room(image, mask, np.array(boxes, np.float32).reshape(-1, 4), np.array(labels, np.int64))


# ---- the room itself --------------------------------------------------------------------------------------------


def _walls(canvas: Canvas, random: np.random.Generator, deep: float, wide: float, offset: float) -> None:
    high, near = random.uniform(2.3, 3.0), 0.3
    left, right = offset - wide / 2, offset + wide / 2
    wall, floor = _tint(random, 0.45, 0.95), _tint(random, 0.2, 0.75)
    side, light = _times(wall, random.uniform(0.8, 0.95)), _times(wall, 1.12)

    def quad(colour: Colour, number: int, *corners: Point) -> None:
        canvas.polygon(corners, colour, number)

    quad(wall, 0, (left, 0, deep), (right, 0, deep), (right, high, deep), (left, high, deep))
    for x in (left, right):
        quad(side, 0, (x, 0, near), (x, 0, deep), (x, high, deep), (x, high, near))
    quad(light, 0, (left, high, near), (right, high, near), (right, high, deep), (left, high, deep))
    quad(floor, 1, (left, 0, near), (right, 0, near), (right, 0, deep), (left, 0, deep))
    pattern = random.random()
    step = random.uniform(0.15, 0.6)
    dark = _times(floor, 0.85)
    if pattern < 0.7:  # planks
        for x in np.arange(left, right, step):
            quad(dark, 1, (x, 0, near), (x + 0.03, 0, near), (x + 0.03, 0, deep), (x, 0, deep))
    if pattern < 0.35:  # tiles
        for z in np.arange(near, deep, step):
            quad(dark, 1, (left, 0, z), (right, 0, z), (right, 0, z + 0.03), (left, 0, z + 0.03))
    if random.random() < 0.4:  # wallpaper
        stripe = _near(wall, random, 0.12)
        for x in np.arange(left, right, step):
            quad(stripe, 0, (x, 0, deep), (x + step / 2, 0, deep), (x + step / 2, high, deep), (x, high, deep))
    if random.random() < 0.5:  # a rug
        x, z = random.uniform(left, right), random.uniform(1, deep)
        w, front, back = random.uniform(0.5, 1.2), max(near, z - random.uniform(0.4, 0.8)), z + random.uniform(0.4, 0.8)
        quad(_tint(random, 0.2, 0.9), 1, (x - w, 0, front), (x + w, 0, front), (x + w, 0, back), (x - w, 0, back))
    for _ in range(random.integers(0, 4)):
        _hung(canvas, random, left, right, deep - 0.01)


def _hung(canvas: Canvas, random: np.random.Generator, left: float, right: float, z: float) -> None:
    """A window, a door or a picture on the back wall; pictures may show somebody."""
    what = random.random()
    x, w, h = random.uniform(left, right), random.uniform(0.5, 1.3), random.uniform(0.6, 1.2)
    y = random.uniform(0.9, 1.4)
    if what < 0.2:
        y, w, h = 0.0, 0.9, 2.0
    colour = _tint(random, 0.75, 1.0) if what > 0.6 else _tint(random, 0.2, 0.9)
    for grow, shade in ((0.06, 0.6), (0.0, 1.0)):
        a, b, low, top = x - w / 2 - grow, x + w / 2 + grow, y - grow, y + h + grow
        canvas.polygon([(a, low, z), (b, low, z), (b, top, z), (a, top, z)], _times(colour, shade), 0)
    if 0.2 <= what < 0.45:  # a poster of somebody
        half, up = w * 0.22, y + h * 0.62
        shirt, skin = _tint(random, 0.1, 0.9), (0.85, 0.65, 0.5)
        canvas.shapes([Limb((x, y + h * 0.1, z), (x, y + h * 0.42, z), (half, half * 0.9), shirt)], 0)
        canvas.shapes([Limb((x, up, z - 0.01), (x, up + 0.02, z - 0.01), (half * 0.55, half * 0.55), skin)], 0)


def _furnished(
    random: np.random.Generator, deep: float, wide: float, offset: float, people: int
) -> list[tuple[str, list[Shape]]]:
    """Things that do not stand in each other, "" for what is of no class."""
    taken: list[tuple[float, float, float]] = []

    def free(radius: float, back: float = deep - 0.4) -> tuple[float, float] | None:
        for _ in range(20):
            x, z = offset + random.uniform(-0.45, 0.45) * wide, random.uniform(1.5, back)
            if all(np.hypot(x - a, z - b) > radius + r for a, b, r in taken):
                taken.append((x, z, radius))
                return x, z
        return None

    things: list[tuple[str, list[Shape]]] = []
    radii = {"chair": 0.35, "table": 0.8, "sofa": 0.9, "lamp": 0.25, "cabinet": 0.6}
    for kind in random.choice(list(FURNITURE), size=random.integers(2, 7)):
        place = free(radii[kind])
        if place is None:
            continue
        x, z = place
        yaw = random.uniform(-np.pi, np.pi) if kind in ("chair", "table") else random.normal(0, 0.5)
        shapes = FURNITURE[kind](x, z, float(yaw), random)
        things.append((str(kind), shapes))
        if people and kind in ("chair", "sofa") and random.random() < 0.5:
            seat = SEATS[kind](shapes)
            sitting = person(x - 0.05 * np.sin(yaw), z - 0.05 * np.cos(yaw) - 0.02, float(yaw), random, seat)
            things.append(("person", sitting))
            people -= 1
    for _ in range(people):
        place = free(0.3, 1.5 + _FRONT * (deep - 1.9))
        if place is not None:
            things.append(("person", person(*place, float(random.uniform(-np.pi, np.pi)), random)))
    for _ in range(int(random.random() < 0.2)):
        place = free(0.3)
        if place is not None:
            things.append(("", coat_stand(*place, 0.0, random)))
    return things


# ---- light ------------------------------------------------------------------------------------------------------


def _lit(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Uneven and coloured light, a camera's blur and noise."""
    size = len(image)
    v, u = np.mgrid[0:size, 0:size] / size
    field = 1 + random.normal(0, 0.25) * (u - 0.5) + random.normal(0, 0.25) * (v - 0.5)
    spot = np.exp(-((u - random.uniform(0, 1)) ** 2 + (v - random.uniform(0, 1)) ** 2) / 0.1) * random.uniform(
        -0.2, 0.35
    )
    tint = random.normal(1, 0.07, 3)
    lit = (image / 255) ** random.uniform(0.75, 1.4) * (field + spot)[..., None] * tint * random.uniform(0.6, 1.15)
    lit = lit + random.normal(0, random.uniform(0.005, 0.03), image.shape)
    return (255 * np.clip(lit, 0, 1)).astype(np.uint8)


def _times(colour: Colour, factor: float) -> Colour:
    r, g, b = (min(1.0, c * factor) for c in colour)
    return float(r), float(g), float(b)


def _tint(random: np.random.Generator, low: float, high: float) -> Colour:
    r, g, b = np.clip(random.uniform(low, high) + random.normal(0, 0.05, 3), 0.03, 1)
    return float(r), float(g), float(b)


def _near(colour: Colour, random: np.random.Generator, spread: float) -> Colour:
    r, g, b = np.clip(np.array(colour) + random.normal(0, spread, 3), 0.03, 1)
    return float(r), float(g), float(b)
