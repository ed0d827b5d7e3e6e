"""The interactive bench, and the pure function that turns a session into what it shows."""

from .bench import Bench
from .view import preview_view, session_view

__all__ = ["Bench", "preview_view", "session_view"]
