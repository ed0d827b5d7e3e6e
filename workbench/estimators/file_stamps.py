"""Stamps of files: text that changes whenever what they hold does, cheap enough to compare at every question.

A folder's stamp is of the names, inodes, times and sizes of its files, so it notices a file that is added, removed, or
replaced (`files.write_atomic` makes a new inode); it does not notice one that is written into in place. Listing a
folder of many files takes milliseconds, its own modification time microseconds, so the listing is kept for as long as
that time stays the same. Clocks of file systems are coarse: a second change within one tick leaves the time as it is.
A listing is therefore kept only where it was made at least two seconds after the folder's last change.
"""

import os
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from time import time_ns

__all__ = ["file_stamp", "folder_stamp"]

_AT_REST_NS = 2_000_000_000  # the coarsest clock of a file system in use, FAT's
_FOLDERS = 64  # whose listings are kept


def file_stamp(path: Path) -> str:
    """Of one file; "" where there is none."""
    try:
        status = os.stat(path)
    except OSError:
        return ""
    return f"{status.st_ino}/{status.st_mtime_ns}/{status.st_size}"


def folder_stamp(folder: Path) -> str:
    """Of the files in a folder; "" where there is no such folder."""
    try:
        changed_ns = os.stat(folder).st_mtime_ns
    except OSError:
        return ""
    return _kept_listing(folder, changed_ns) if time_ns() - changed_ns > _AT_REST_NS else _listing(folder)


@lru_cache(maxsize=_FOLDERS)
def _kept_listing(folder: Path, changed_ns: int) -> str:
    """changed_ns: when the folder last changed, at least two seconds ago."""
    return _listing(folder)


def _listing(folder: Path) -> str:
    names = sorted(os.listdir(folder))
    text = "|".join(f"{name}/{file_stamp(folder / name)}" for name in names)
    return blake2b(text.encode(errors="surrogateescape"), digest_size=12).hexdigest()
