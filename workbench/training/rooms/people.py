"""People, and what looks like them: a coat stand with a coat and a hat has a person's outline and is of no class."""

from dataclasses import dataclass

import numpy as np

from .canvas import Box, Colour, Limb, Point, Shape
from .object_frame import WOOD, Frame, Random, near_one_of, uniform_colour

__all__ = ["coat_stand", "person"]

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
_STAND = 2.0  # metres: the height of a coat stand


@dataclass(frozen=True)
class _Pose:
    """How somebody stands or sits. tall: a factor on metres. hip, shoulder: heights in metres. lean: how far the
    shoulders are before the hip. seat: None for who stands. stride: of one foot before the other.
    """

    frame: Frame
    tall: float
    hip: float
    shoulder: float
    lean: float
    seat: float | None
    stride: float

    def at(self, right: float, up: float, forward: float) -> Point:
        return self.frame.at(right * self.tall, up, forward * self.tall)


def person(x: float, z: float, yaw: float, random: Random, seat: float | None = None) -> list[Shape]:
    """Somebody who stands, walks or bends, or sits on a `seat` of that height (metres)."""
    tall = float(random.uniform(1.1, 1.9)) / 1.75  # children too
    skin, hair = near_one_of(random, _SKIN), near_one_of(random, _HAIR)
    top, bottom, shoes = uniform_colour(random), uniform_colour(random, 0.05, 0.7), uniform_colour(random, 0.05, 0.5)
    sleeves = top if random.random() < 0.65 else skin
    stride = 0.0 if seat is not None else float(random.uniform(-0.3, 0.3))
    bend = float(abs(random.normal(0, 0.12))) if seat is None else float(random.uniform(-0.1, 0.2))
    hip = seat + 0.1 if seat is not None else 0.92 * tall
    shoulder, lean = hip + 0.5 * tall * float(np.cos(bend)), 0.5 * float(np.sin(bend))
    pose = _Pose(Frame(x, z, yaw), tall, hip, shoulder, lean, seat, stride)
    shapes: list[Shape] = []
    for side in (-1, 1):
        shapes += _leg(pose, side, bottom, shoes)
        shapes += _arm(pose, side, random, (top, sleeves, skin))
    shapes.append(Limb(pose.at(0, hip, 0), pose.at(0, shoulder - 0.06, lean), (0.15 * tall, 0.18 * tall), top))
    return shapes + _head(pose, random, skin, hair)


def _leg(pose: _Pose, side: int, colour: Colour, shoes: Colour) -> list[Shape]:
    tall, hip = pose.tall, pose.hip
    joint = pose.at(0.09 * side, hip, 0)
    if pose.seat is not None:
        knee, foot = pose.at(0.12 * side, hip, 0.42), pose.at(0.12 * side, 0.06, 0.42)
    else:
        knee = pose.at(0.1 * side, hip * 0.52, side * pose.stride * 0.5 + 0.05)
        foot = pose.at(0.1 * side, 0.06, side * pose.stride)
    yaw = pose.frame.yaw
    toe = (foot[0] - 0.12 * float(np.sin(yaw)), 0.04, foot[2] - 0.12 * float(np.cos(yaw)))
    return [
        Limb(joint, knee, (0.1 * tall, 0.075 * tall), colour),
        Limb(knee, foot, (0.07 * tall, 0.05 * tall), colour),
        Limb(foot, toe, (0.05 * tall, 0.045 * tall), shoes),
    ]


def _arm(pose: _Pose, side: int, random: Random, colours: tuple[Colour, Colour, Colour]) -> list[Shape]:
    """colours: of the upper arm, the lower arm and the hand."""
    tall = pose.tall
    swing, out = float(random.uniform(-0.9, 2.2)), float(random.uniform(0.02, 0.35))
    shoulder = pose.at(0.19 * side, pose.shoulder, pose.lean)
    elbow_up = pose.shoulder - 0.29 * tall * float(np.cos(swing))
    elbow_on = pose.lean + 0.29 * float(np.sin(swing))
    elbow = pose.at((0.2 + out * 0.5) * side, elbow_up, elbow_on)
    fold = swing + float(random.uniform(0, 1.4))
    hand_up, hand_on = elbow_up - 0.26 * tall * float(np.cos(fold)), elbow_on + 0.26 * float(np.sin(fold))
    hand = pose.at((0.2 + out * 0.4) * side, hand_up, hand_on)
    upper, lower, skin = colours
    return [
        Limb(shoulder, elbow, (0.06 * tall, 0.05 * tall), upper),
        Limb(elbow, hand, (0.048 * tall, 0.04 * tall), lower),
        Limb(hand, hand, (0.045 * tall, 0.045 * tall), skin),
    ]


def _head(pose: _Pose, random: Random, skin: Colour, hair: Colour) -> list[Shape]:
    tall, up, lean = pose.tall, pose.shoulder, pose.lean
    neck, crown = pose.at(0, up + 0.05 * tall, lean), pose.at(0, up + 0.2 * tall, lean + 0.02)
    back = pose.at(0, up + 0.235 * tall, lean - 0.035)
    shapes: list[Shape] = [
        Limb(neck, crown, (0.05 * tall, 0.06 * tall), skin),
        Limb(crown, crown, (0.11 * tall, 0.11 * tall), skin),
        Limb(back, back, (0.112 * tall, 0.112 * tall), hair),
    ]
    if random.random() < 0.4:  # long hair
        shapes.append(Limb(back, pose.at(0, up, lean - 0.09), (0.1 * tall, 0.08 * tall), hair))
    return shapes


def coat_stand(x: float, z: float, yaw: float, random: Random) -> list[Shape]:
    """A pole with a coat and a hat: a person's outline without one."""
    wood, coat, hat = near_one_of(random, WOOD), uniform_colour(random), uniform_colour(random, 0.05, 0.6)
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
