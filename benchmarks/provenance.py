"""The line of a result that says when, on what machine and with which versions it came about."""

import os
import platform
from datetime import date
from importlib.metadata import version

from workbench.hardware.onnxruntime_cpu import processor

__all__ = ["provenance"]


def provenance(*packages: str) -> str:
    """Date, processor, cores, Python's version and those of the packages.

    >>> provenance("numpy").split(", ")[-1].startswith("numpy ")
    True
    """
    versions = (f"{package} {version(package)}" for package in packages)
    return ", ".join(
        (str(date.today()), f"{processor()}, {os.cpu_count()} cores", f"Python {platform.python_version()}", *versions)
    )
