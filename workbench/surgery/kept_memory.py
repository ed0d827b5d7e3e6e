"""Freed memory that stays with the process while layers run again and again.

The C library gives large blocks back to the system as soon as they are freed. A step of training allocates the same
gigabyte of feature maps as the step before, and the system hands out each page anew, zeroed: on a CPU that takes as
long as the arithmetic of a small network.
"""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["kept_memory"]

# malloc.h of the GNU C library
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4
_NEVER = (1 << 31) - 1
# What the thresholds come to by themselves in a process that has freed a block of 32 MiB or more, and the
# documented default of the third
_DEFAULTS = ((_TRIM_THRESHOLD, 64 << 20), (_MMAP_THRESHOLD, 32 << 20), (_MMAP_MAX, 65536))


@contextmanager
def kept_memory() -> Iterator[None]:
    """Within it, freed memory is used again instead of being returned to the system; afterwards it is returned.

    Does nothing where the C library is not GNU's.
    """
    library = _gnu()
    if library is None:
        yield
        return
    library.mallopt(_MMAP_MAX, 0)
    library.mallopt(_TRIM_THRESHOLD, _NEVER)
    try:
        yield
    finally:
        for option, value in _DEFAULTS:
            library.mallopt(option, value)
        library.malloc_trim(0)


def _gnu() -> ctypes.CDLL | None:
    """The C library of this process, where it is GNU's."""
    try:
        library = ctypes.CDLL(None)
        library.gnu_get_libc_version, library.mallopt, library.malloc_trim  # noqa: B018  raises where one is missing
    except (AttributeError, OSError, TypeError):
        return None
    return library
