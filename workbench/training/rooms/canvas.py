"""A pinhole camera and a canvas that paints colours and instance numbers with the same strokes.

    X, Y, Z   metres: right of the camera, above the floor, in front of the camera
    u, v      pixels of the canvas, v downwards:  u = size (1/2 + f X / Z),  v = size (horizon + f (height - Y) / Z)

Shapes are painted far to near (painter's algorithm); the canvas is `_FINE` times the image, which averages it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

__all__ = ["Box", "Camera", "Canvas", "Colour", "Limb", "Point", "Shape"]

Point = tuple[float, float, float]
Colour = tuple[float, float, float]  # red, green, blue in 0 to 1

_FINE = 3
_NEAR = 0.25  # metres: nothing nearer is painted
_LIGHT = np.array([-0.4, 0.8, -0.45])  # from where light comes, in camera coordinates


@dataclass(frozen=True)
class Camera:
    """focal: in image widths. height: metres above the floor. horizon: share of the image above it."""

    focal: float
    height: float
    horizon: float

    def project(self, point: Point) -> tuple[float, float]:
        """Image coordinates, both 0 to 1 inside the image."""
        x, y, z = point
        z = max(z, _NEAR)
        return 0.5 + self.focal * x / z, self.horizon + self.focal * (self.height - y) / z


@dataclass(frozen=True)
class Box:
    """A cuboid that stands upright: centre of its bottom, size (width, height, depth), turned by `yaw` radians."""

    bottom: Point
    size: Point
    yaw: float
    colour: Colour

    @property
    def depth(self) -> float:
        return self.bottom[2]

    def faces(self) -> list[tuple[list[Point], np.ndarray]]:
        """Corners and outward normal of the four sides, the top and the bottom."""
        (x, y, z), (w, h, d) = self.bottom, self.size
        cos, sin = np.cos(self.yaw), np.sin(self.yaw)
        ring = [
            (x + cos * a + sin * b, z - sin * a + cos * b)
            for a, b in ((-w / 2, -d / 2), (w / 2, -d / 2), (w / 2, d / 2), (-w / 2, d / 2))
        ]
        normals = [(-sin, -cos), (cos, -sin), (sin, cos), (-cos, sin)]
        faces = []
        for i, (nx, nz) in enumerate(normals):
            (xa, za), (xb, zb) = ring[i], ring[(i + 1) % 4]
            faces.append(([(xa, y, za), (xb, y, zb), (xb, y + h, zb), (xa, y + h, za)], np.array([nx, 0, nz])))
        faces.append(([(a, y + h, b) for a, b in ring], np.array([0, 1, 0])))
        faces.append(([(a, y, b) for a, b in ring], np.array([0, -1, 0])))
        return faces


@dataclass(frozen=True)
class Limb:
    """A rounded stick between two points, thick `radii` (metres) at its ends; both points the same: a ball."""

    start: Point
    end: Point
    radii: tuple[float, float]
    colour: Colour

    @property
    def depth(self) -> float:
        return (self.start[2] + self.end[2]) / 2


Shape = Box | Limb


class Canvas:
    """size: pixels of the finished, square image."""

    def __init__(self, size: int, camera: Camera) -> None:
        self.size, self.camera = size, camera
        self._colours = Image.new("RGB", (size * _FINE, size * _FINE))
        self._numbers = Image.new("I", (size * _FINE, size * _FINE))
        self._pens = ImageDraw.Draw(self._colours), ImageDraw.Draw(self._numbers)

    def image(self) -> np.ndarray:
        """uint8[size, size, 3]"""
        return np.asarray(self._colours.resize((self.size, self.size), Image.Resampling.BOX))

    def numbers(self) -> np.ndarray:
        """int32[size, size]: the number of the shape in the middle of each pixel."""
        return np.asarray(self._numbers)[_FINE // 2 :: _FINE, _FINE // 2 :: _FINE].astype(np.int32)

    def polygon(self, points: Iterable[Point], colour: Colour, number: int) -> None:
        """A flat shape through points in space."""
        self._fill([self._pixel(p) for p in points], colour, number)

    def shapes(self, shapes: Sequence[Shape], number: int) -> None:
        """The parts of one thing, far to near."""
        for shape in sorted(shapes, key=lambda s: -s.depth):
            if isinstance(shape, Box):
                self._box(shape, number)
            else:
                self._limb(shape, number)

    def _box(self, box: Box, number: int) -> None:
        eye = np.array([0.0, self.camera.height, 0.0])
        for corners, normal in box.faces():
            if min(z for _, _, z in corners) < _NEAR or float((eye - corners[0]) @ normal) <= 0:
                continue
            shade = 0.62 + 0.38 * max(0.0, float(normal @ _LIGHT))
            self.polygon(corners, _times(box.colour, shade), number)

    def _limb(self, limb: Limb, number: int) -> None:
        if min(limb.start[2], limb.end[2]) < _NEAR:
            return
        (ax, ay), (bx, by) = self._pixel(limb.start), self._pixel(limb.end)
        per_metre = self.camera.focal * self.size * _FINE
        a, b = limb.radii[0] * per_metre / limb.start[2], limb.radii[1] * per_metre / limb.end[2]
        length = np.hypot(bx - ax, by - ay)
        if length > 0:
            nx, ny = (ay - by) / length, (bx - ax) / length
            sides = [(ax + nx * a, ay + ny * a), (bx + nx * b, by + ny * b)]
            sides += [(bx - nx * b, by - ny * b), (ax - nx * a, ay - ny * a)]
            self._fill(sides, limb.colour, number)
            # the side away from the light
            dark = (
                [sides[0], sides[1], (bx, by), (ax, ay)]
                if ny > 0 or nx > 0.7
                else [sides[3], sides[2], (bx, by), (ax, ay)]
            )
            self._fill(dark, _times(limb.colour, 0.86), number)
        for (x, y), r in (((ax, ay), a), ((bx, by), b)):
            self._pens[0].ellipse([x - r, y - r, x + r, y + r], fill=_bytes(limb.colour))
            self._pens[1].ellipse([x - r, y - r, x + r, y + r], fill=number)

    def _fill(self, points: list[tuple[float, float]], colour: Colour, number: int) -> None:
        self._pens[0].polygon(points, fill=_bytes(colour))
        self._pens[1].polygon(points, fill=number)

    def _pixel(self, point: Point) -> tuple[float, float]:
        u, v = self.camera.project(point)
        return u * self.size * _FINE, v * self.size * _FINE


def _times(colour: Colour, factor: float) -> Colour:
    r, g, b = (min(1.0, c * factor) for c in colour)
    return r, g, b


def _bytes(colour: Colour) -> tuple[int, int, int]:
    r, g, b = (int(255 * min(1.0, max(0.0, c))) for c in colour)
    return r, g, b
