"""The process that drives a study: `python -m workbench.session.driver URL NAME`, as `session.search` starts it."""

import sys

from . import attach
from .carry_out import carry_out

__all__ = ["drive"]


def drive(url: str, name: str) -> None:
    """Carry out the study of that name at that storage, to the end or until it is told to end."""
    searched = attach(url, name).searched
    carry_out(searched, searched.store.attributes["study"]["executor"], None)


if __name__ == "__main__":
    drive(*sys.argv[1:])
