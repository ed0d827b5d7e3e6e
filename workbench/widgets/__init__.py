"""The interactive bench, and the pure function that turns a session into what it shows."""

from .bench import Bench
from .studies import Searches
from .view import preview_view, session_view

__all__ = ["Bench", "Searches", "preview_view", "session_view"]
