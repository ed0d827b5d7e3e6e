"""Rooms drawn by number: pictures, labels, boxes and masks without a download."""

from .scene import CLASSES, STUFF, Room, room

__all__ = ["CLASSES", "STUFF", "Room", "room"]
