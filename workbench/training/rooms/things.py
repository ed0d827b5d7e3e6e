"""What stands in a room: furniture of boxes, people and what looks like them of sticks and balls.

Every function takes where a thing stands (x, z in metres), its yaw and a generator for what varies, and gives back its
shapes; one that looks alike from afar is not in the classes: a coat stand with coat and hat, a poster of somebody.
"""

from collections.abc import Callable, Mapping

import numpy as np

from .paint import Box, Colour, Limb, Point, Shape

__all__ = ["FURNITURE", "SEATS", "coat_stand", "person"]

Random = np.random.Generator
Maker = Callable[[float, float, float, Random], list[Shape]]

_SKIN: tuple[Colour, ...] = (
    (0.96, 0.8, 0.69),
    (0.88, 0.67, 0.52),
    (0.7, 0.48, 0.34),
    (0.46, 0.3, 0.2),
    (0.3, 0.2, 0.15),
)
_HAIR: tuple[Colour, ...] = (
    (0.1, 0.08, 0.07),
    (0.3, 0.2, 0.12),
    (0.62, 0.45, 0.22),
    (0.75, 0.73, 0.7),
    (0.5, 0.2, 0.1),
)
_WOOD: tuple[Colour, ...] = (
    (0.55, 0.38, 0.22),
    (0.75, 0.58, 0.38),
    (0.35, 0.22, 0.14),
    (0.88, 0.86, 0.82),
    (0.2, 0.2, 0.22),
)
_STAND = 2.0  # metres: the height of a coat stand


def _any(random: Random, low: float = 0.1, high: float = 0.95) -> Colour:
    r, g, b = random.uniform(low, high, 3)
    return float(r), float(g), float(b)


def _pick(random: Random, colours: tuple[Colour, ...]) -> Colour:
    r, g, b = np.clip(np.array(colours[random.integers(len(colours))]) + random.normal(0, 0.03, 3), 0, 1)
    return float(r), float(g), float(b)


class _Frame:
    """A thing's own coordinates: right, up, forward from where it stands."""

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


# ---- furniture --------------------------------------------------------------------------------------------------


def _chair(x: float, z: float, yaw: float, random: Random) -> list[Shape]:
    frame, colour = _Frame(x, z, yaw), _pick(random, _WOOD) if random.random() < 0.6 else _any(random)
    width, seat, back = random.uniform(0.4, 0.55), random.uniform(0.42, 0.5), random.uniform(0.4, 0.6)
    return [
        *frame.legs(width, width, seat, 0.05, colour),
        frame.box(0, seat, 0, (width, 0.06, width), colour),
        frame.box(0, seat + 0.06, -width / 2 + 0.03, (width, back, 0.05), colour),
    ]


def _table(x: float, z: float, yaw: float, random: Random) -> list[Shape]:
    frame, colour = _Frame(x, z, yaw), _pick(random, _WOOD)
    width, depth = random.uniform(0.8, 1.7), random.uniform(0.6, 0.95)
    height = random.uniform(0.68, 0.78) if random.random() < 0.7 else random.uniform(0.35, 0.48)
    shapes = [*frame.legs(width, depth, height, 0.07, colour), frame.box(0, height, 0, (width, 0.05, depth), colour)]
    for _ in range(random.integers(0, 3)):  # what lies on it belongs to it
        right, forward = random.uniform(-0.35, 0.35) * width, random.uniform(-0.3, 0.3) * depth
        size = (random.uniform(0.08, 0.3), random.uniform(0.04, 0.25), random.uniform(0.08, 0.25))
        shapes.append(frame.box(right, height + 0.05, forward, size, _any(random)))
    return shapes


def _sofa(x: float, z: float, yaw: float, random: Random) -> list[Shape]:
    frame, colour = _Frame(x, z, yaw), _any(random, 0.15, 0.85)
    width, depth, seat = random.uniform(1.1, 2.1), random.uniform(0.8, 0.95), random.uniform(0.38, 0.45)
    arm = random.uniform(0.12, 0.22)
    shapes: list[Shape] = [
        frame.box(0, 0, 0, (width, seat, depth), colour),
        frame.box(0, seat, -depth / 2 + 0.12, (width, random.uniform(0.35, 0.5), 0.22), colour),
    ]
    shapes += [frame.box(s * (width - arm) / 2, 0, 0, (arm, seat + 0.2, depth), colour) for s in (-1, 1)]
    for _ in range(random.integers(0, 3)):
        place = random.uniform(-0.3, 0.3) * width
        shapes.append(frame.box(place, seat, -depth / 2 + 0.3, (0.38, 0.34, 0.12), _any(random)))
    return shapes


def _lamp(x: float, z: float, yaw: float, random: Random) -> list[Shape]:
    metal, shade = _pick(random, _WOOD), _pick(random, ((0.98, 0.94, 0.8), (0.9, 0.85, 0.75), (0.8, 0.3, 0.2)))
    height, wide = random.uniform(1.2, 1.75), random.uniform(0.13, 0.22)
    return [
        Box((x, 0, z), (0.3, 0.03, 0.3), yaw, metal),
        Limb((x, 0, z), (x, height, z), (0.02, 0.02), metal),
        Limb((x, height, z - 0.01), (x, height + 0.28, z - 0.01), (wide, wide * random.uniform(0.5, 0.9)), shade),
    ]


def _cabinet(x: float, z: float, yaw: float, random: Random) -> list[Shape]:
    frame, colour = _Frame(x, z, yaw), _pick(random, _WOOD)
    width, height, depth = random.uniform(0.6, 1.5), random.uniform(0.7, 2.0), random.uniform(0.35, 0.55)
    shapes: list[Shape] = [frame.box(0, 0, 0, (width, height, depth), colour)]
    dark: Colour = (colour[0] * 0.8, colour[1] * 0.8, colour[2] * 0.8)
    for i in range(n := int(random.integers(2, 5))):
        up = height * (i + 0.1) / n
        shapes.append(frame.box(0, up, depth / 2 + 0.01, (width * 0.88, height / n * 0.8, 0.02), dark))
    return shapes


FURNITURE: Mapping[str, Maker] = {"chair": _chair, "table": _table, "sofa": _sofa, "lamp": _lamp, "cabinet": _cabinet}

# How high one sits on it, in metres, read off its shapes.
SEATS: Mapping[str, Callable[[list[Shape]], float]] = {
    "chair": lambda shapes: max(shape.bottom[1] for shape in shapes[:5] if isinstance(shape, Box)),
    "sofa": lambda shapes: shapes[0].size[1] if isinstance(shapes[0], Box) else 0.42,
}


# ---- people, and what looks like them ----------------------------------------------------------------------------


def person(x: float, z: float, yaw: float, random: Random, seat: float | None = None) -> list[Shape]:
    """Somebody who stands, walks or bends, or sits on a `seat` of that height (metres)."""
    frame, tall = _Frame(x, z, yaw), float(random.uniform(1.1, 1.9)) / 1.75  # children too
    skin, hair = _pick(random, _SKIN), _pick(random, _HAIR)
    top, bottom, shoes = _any(random), _any(random, 0.05, 0.7), _any(random, 0.05, 0.5)
    sleeves = top if random.random() < 0.65 else skin
    stride = 0.0 if seat is not None else float(random.uniform(-0.3, 0.3))
    bend = float(abs(random.normal(0, 0.12))) if seat is None else float(random.uniform(-0.1, 0.2))
    hip = seat + 0.1 if seat is not None else 0.92 * tall

    def at(right: float, up: float, forward: float) -> Point:
        return frame.at(right * tall, up, forward * tall)

    shoulder_up, shoulder_on = hip + 0.5 * tall * float(np.cos(bend)), 0.5 * float(np.sin(bend))
    shapes: list[Shape] = []
    for side in (-1, 1):
        joint = at(0.09 * side, hip, 0)
        if seat is not None:
            knee, foot = at(0.12 * side, hip, 0.42), at(0.12 * side, 0.06, 0.42)
        else:
            knee, foot = at(0.1 * side, hip * 0.52, side * stride * 0.5 + 0.05), at(0.1 * side, 0.06, side * stride)
        shapes += [
            Limb(joint, knee, (0.1 * tall, 0.075 * tall), bottom),
            Limb(knee, foot, (0.07 * tall, 0.05 * tall), bottom),
        ]
        toe = (foot[0] - 0.12 * float(np.sin(yaw)), 0.04, foot[2] - 0.12 * float(np.cos(yaw)))
        shapes.append(Limb(foot, toe, (0.05 * tall, 0.045 * tall), shoes))
        swing, out = float(random.uniform(-0.9, 2.2)), float(random.uniform(0.02, 0.35))
        shoulder = at(0.19 * side, shoulder_up, shoulder_on)
        elbow_up, elbow_on = shoulder_up - 0.29 * tall * float(np.cos(swing)), shoulder_on + 0.29 * float(np.sin(swing))
        elbow = at((0.2 + out * 0.5) * side, elbow_up, elbow_on)
        fold = swing + float(random.uniform(0, 1.4))
        hand_up, hand_on = elbow_up - 0.26 * tall * float(np.cos(fold)), elbow_on + 0.26 * float(np.sin(fold))
        hand = at((0.2 + out * 0.4) * side, hand_up, hand_on)
        shapes += [
            Limb(shoulder, elbow, (0.06 * tall, 0.05 * tall), top),
            Limb(elbow, hand, (0.048 * tall, 0.04 * tall), sleeves),
        ]
        shapes.append(Limb(hand, hand, (0.045 * tall, 0.045 * tall), skin))
    shapes.append(Limb(at(0, hip, 0), at(0, shoulder_up - 0.06, shoulder_on), (0.15 * tall, 0.18 * tall), top))
    neck, crown = at(0, shoulder_up + 0.05 * tall, shoulder_on), at(0, shoulder_up + 0.2 * tall, shoulder_on + 0.02)
    shapes += [
        Limb(neck, crown, (0.05 * tall, 0.06 * tall), skin),
        Limb(crown, crown, (0.11 * tall, 0.11 * tall), skin),
    ]
    back = at(0, shoulder_up + 0.235 * tall, shoulder_on - 0.035)
    shapes.append(Limb(back, back, (0.112 * tall, 0.112 * tall), hair))
    if random.random() < 0.4:  # long hair
        shapes.append(Limb(back, at(0, shoulder_up, shoulder_on - 0.09), (0.1 * tall, 0.08 * tall), hair))
    return shapes


def coat_stand(x: float, z: float, yaw: float, random: Random) -> list[Shape]:
    """A pole with a coat and a hat: a person's outline without one."""
    wood, coat, hat = _pick(random, _WOOD), _any(random), _any(random, 0.05, 0.6)
    top = _STAND * float(random.uniform(0.8, 1.0))
    shapes: list[Shape] = [
        Limb((x, 0, z), (x, top, z), (0.03, 0.03), wood),
        Box((x, 0, z), (0.4, 0.03, 0.4), yaw, wood),
        Limb((x, top - 1.0, z - 0.02), (x, top - 0.35, z - 0.02), (0.2, 0.16), coat),
    ]
    shapes += [
        Limb((x + s * 0.17, top - 0.4, z - 0.03), (x + s * 0.24, top - 0.95, z - 0.03), (0.06, 0.05), coat)
        for s in (-1, 1)
    ]
    if random.random() < 0.7:
        brim, crown = (x, top, z - 0.03), (x, top + 0.1, z - 0.04)
        shapes += [Limb(brim, (x, top + 0.02, z - 0.03), (0.16, 0.16), hat), Limb(crown, crown, (0.1, 0.1), hat)]
    return shapes
