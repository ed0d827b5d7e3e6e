"""Messages between the caller's process and a compiler process: an 8-byte length and that many bytes, over a pipe."""

import os
import select
import struct
import time
from typing import BinaryIO

__all__ = ["receive", "send"]

_LENGTH = struct.Struct("<Q")
_NEVER = float("inf")


def send(stream: BinaryIO, payload: bytes) -> None:
    """Write one message. Raises BrokenPipeError where the other end is closed."""
    stream.write(_LENGTH.pack(len(payload)) + payload)
    stream.flush()


def receive(stream: BinaryIO, deadline: float = _NEVER) -> bytes:
    """Read one message from an unbuffered stream.

    deadline: on `time.monotonic`'s clock, in seconds. Raises TimeoutError beyond it, EOFError where the other end is
    closed.
    """
    return _read(stream, _LENGTH.unpack(_read(stream, _LENGTH.size, deadline))[0], deadline)


def _read(stream: BinaryIO, n: int, deadline: float) -> bytes:
    parts, missing = [], n
    while missing:
        wait = None if deadline == _NEVER else max(0.0, deadline - time.monotonic())
        if not select.select([stream], [], [], wait)[0]:
            raise TimeoutError
        part = os.read(stream.fileno(), min(missing, 1 << 20))
        if not part:
            raise EOFError
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)
