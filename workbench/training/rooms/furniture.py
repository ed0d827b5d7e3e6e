"""The furniture of a room, built of boxes and limbs.

Every function takes where the furniture stands (x, z in metres), its yaw (radians) and a generator for what varies, and
returns its shapes.
"""

from collections.abc import Callable, Mapping

from .canvas import Box, Colour, Limb, Shape
from .object_frame import WOOD, Frame, Random, near_one_of, uniform_colour

__all__ = ["FURNITURE", "SEATS"]

Builder = Callable[[float, float, float, Random], list[Shape]]


def _chair(x: float, z: float, yaw: float, random: Random) -> list[Shape]:
    frame, colour = Frame(x, z, yaw), near_one_of(random, WOOD) if random.random() < 0.6 else uniform_colour(random)
    width, seat, back = random.uniform(0.4, 0.55), random.uniform(0.42, 0.5), random.uniform(0.4, 0.6)
    return [
        *frame.legs(width, width, seat, 0.05, colour),
        frame.box(0, seat, 0, (width, 0.06, width), colour),
        frame.box(0, seat + 0.06, -width / 2 + 0.03, (width, back, 0.05), colour),
    ]


def _table(x: float, z: float, yaw: float, random: Random) -> list[Shape]:
    frame, colour = Frame(x, z, yaw), near_one_of(random, WOOD)
    width, depth = random.uniform(0.8, 1.7), random.uniform(0.6, 0.95)
    height = random.uniform(0.68, 0.78) if random.random() < 0.7 else random.uniform(0.35, 0.48)
    shapes = [*frame.legs(width, depth, height, 0.07, colour), frame.box(0, height, 0, (width, 0.05, depth), colour)]
    for _ in range(random.integers(0, 3)):  # what lies on a table belongs to it
        right, forward = random.uniform(-0.35, 0.35) * width, random.uniform(-0.3, 0.3) * depth
        size = (random.uniform(0.08, 0.3), random.uniform(0.04, 0.25), random.uniform(0.08, 0.25))
        shapes.append(frame.box(right, height + 0.05, forward, size, uniform_colour(random)))
    return shapes


def _sofa(x: float, z: float, yaw: float, random: Random) -> list[Shape]:
    frame, colour = Frame(x, z, yaw), uniform_colour(random, 0.15, 0.85)
    width, depth, seat = random.uniform(1.1, 2.1), random.uniform(0.8, 0.95), random.uniform(0.38, 0.45)
    arm = random.uniform(0.12, 0.22)
    shapes: list[Shape] = [
        frame.box(0, 0, 0, (width, seat, depth), colour),
        frame.box(0, seat, -depth / 2 + 0.12, (width, random.uniform(0.35, 0.5), 0.22), colour),
    ]
    shapes += [frame.box(s * (width - arm) / 2, 0, 0, (arm, seat + 0.2, depth), colour) for s in (-1, 1)]
    for _ in range(random.integers(0, 3)):
        place = random.uniform(-0.3, 0.3) * width
        shapes.append(frame.box(place, seat, -depth / 2 + 0.3, (0.38, 0.34, 0.12), uniform_colour(random)))
    return shapes


def _lamp(x: float, z: float, yaw: float, random: Random) -> list[Shape]:
    metal, shade = (
        near_one_of(random, WOOD),
        near_one_of(random, ((0.98, 0.94, 0.8), (0.9, 0.85, 0.75), (0.8, 0.3, 0.2))),
    )
    height, wide = random.uniform(1.2, 1.75), random.uniform(0.13, 0.22)
    return [
        Box((x, 0, z), (0.3, 0.03, 0.3), yaw, metal),
        Limb((x, 0, z), (x, height, z), (0.02, 0.02), metal),
        Limb((x, height, z - 0.01), (x, height + 0.28, z - 0.01), (wide, wide * random.uniform(0.5, 0.9)), shade),
    ]


def _cabinet(x: float, z: float, yaw: float, random: Random) -> list[Shape]:
    frame, colour = Frame(x, z, yaw), near_one_of(random, WOOD)
    width, height, depth = random.uniform(0.6, 1.5), random.uniform(0.7, 2.0), random.uniform(0.35, 0.55)
    shapes: list[Shape] = [frame.box(0, 0, 0, (width, height, depth), colour)]
    dark: Colour = (colour[0] * 0.8, colour[1] * 0.8, colour[2] * 0.8)
    for i in range(n := int(random.integers(2, 5))):
        up = height * (i + 0.1) / n
        shapes.append(frame.box(0, up, depth / 2 + 0.01, (width * 0.88, height / n * 0.8, 0.02), dark))
    return shapes


FURNITURE: Mapping[str, Builder] = {"chair": _chair, "table": _table, "sofa": _sofa, "lamp": _lamp, "cabinet": _cabinet}

# How high one sits on it, in metres, read off its shapes.
SEATS: Mapping[str, Callable[[list[Shape]], float]] = {
    "chair": lambda shapes: max(shape.bottom[1] for shape in shapes[:5] if isinstance(shape, Box)),
    "sofa": lambda shapes: shapes[0].size[1] if isinstance(shapes[0], Box) else 0.42,
}
