"""What a room's objects are built of: colours drawn at random, and boxes in an object's own coordinates."""

import numpy as np

from .canvas import Box, Colour, Point, Shape

__all__ = ["WOOD", "Frame", "Random", "near_one_of", "uniform_colour"]

Random = np.random.Generator

WOOD: tuple[Colour, ...] = (
    (0.55, 0.38, 0.22),
    (0.75, 0.58, 0.38),
    (0.35, 0.22, 0.14),
    (0.88, 0.86, 0.82),
    (0.2, 0.2, 0.22),
)


def uniform_colour(random: Random, low: float = 0.1, high: float = 0.95) -> Colour:
    """A colour of any hue, each part of it between low and high."""
    r, g, b = random.uniform(low, high, 3)
    return float(r), float(g), float(b)


def near_one_of(random: Random, colours: tuple[Colour, ...]) -> Colour:
    """One of the colours, varied by a few hundredths."""
    r, g, b = np.clip(np.array(colours[random.integers(len(colours))]) + random.normal(0, 0.03, 3), 0, 1)
    return float(r), float(g), float(b)


class Frame:
    """An object's own coordinates: right, up, forward from where it stands."""

    def __init__(self, x: float, z: float, yaw: float) -> None:
        self.x, self.z, self.yaw = x, z, yaw

    def at(self, right: float, up: float, forward: float) -> Point:
        cos, sin = float(np.cos(self.yaw)), float(np.sin(self.yaw))
        return self.x + cos * right - sin * forward, up, self.z - sin * right - cos * forward

    def box(self, right: float, up: float, forward: float, size: Point, colour: Colour) -> Box:
        return Box(self.at(right, up, forward), size, self.yaw, colour)

    def legs(self, width: float, depth: float, height: float, thick: float, colour: Colour) -> list[Shape]:
        a, b = (width - thick) / 2, (depth - thick) / 2
        return [self.box(r, 0, f, (thick, height, thick), colour) for r in (-a, a) for f in (-b, b)]
