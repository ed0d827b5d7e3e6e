"""Make a vision model fast on a neural accelerator: see its cost, apply recipes, verify, share.

>>> import workbench as wb
>>> session = wb.open("mobilenetv2_100", target="ethos-u65-512")  # doctest: +SKIP
>>> session.apply(wb.FuseIBN(blocks="blocks.1.*")).compare(session)  # doctest: +SKIP
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from . import errors as errors
    from . import search as search
    from .estimators.estimate import Estimate as Estimate
    from .hardware import Target as Target
    from .hardware.measurement import Measurement as Measurement
    from .recipe import Recipe as Recipe
    from .session import Session as Session
    from .session import Study as Study
    from .session import attach as attach
    from .session import load as load
    from .session import open as open
    from .session.bundle_check import check
    from .state import BlockWidths as BlockWidths
    from .transforms.every import *  # noqa: F403

    verify = check

__version__ = "0.1.0"

# name -> (module, attribute): looked up on first use, so that `import workbench` costs no torch, timm or pandas. The
# transforms are exported beside them, by the names in `transforms/every.py`, and so are `targets` and `weights`.
_WHERE = {
    "BlockWidths": ("state", "BlockWidths"),
    "Estimate": ("estimators.estimate", "Estimate"),
    "Measurement": ("hardware.measurement", "Measurement"),
    "Recipe": ("recipe", "Recipe"),
    "Session": ("session", "Session"),
    "Study": ("session", "Study"),
    "Target": ("hardware", "Target"),
    "attach": ("session", "attach"),
    "errors": ("errors", ""),
    "load": ("session", "load"),
    "open": ("session", "open"),
    "search": ("search", ""),
    "verify": ("session.bundle_check", "check"),
}


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        module_name, attribute = _WHERE[name]
        module = import_module(f".{module_name}", __name__)
        return getattr(module, attribute) if attribute else module
    if name == "__all__":
        return sorted([*_WHERE, *_transforms(), "__version__", "targets", "weights"])
    # classes begin with a capital; modules of the package, which are asked for here, too, do not
    if name[:1].isupper() and name in _transforms():
        return _transforms()[name]
    raise AttributeError(f"module 'workbench' has no attribute {name!r}")


def __dir__() -> list[str]:
    names: list[str] = __getattr__("__all__")
    return names


def _transforms() -> "Mapping[str, type]":
    from .transforms import TRANSFORMS

    return TRANSFORMS


def targets() -> "pd.DataFrame":
    """The targets known by name: multiply-accumulates a cycle, clock, compiler, whether estimates are calibrated."""
    from .estimators import is_calibrated
    from .hardware import list_targets, resolve
    from .table import Table

    table = Table(list_targets(), units={"macs": ""})
    usable = zip(table["name"], table["problem"], strict=True)
    return table.assign(calibrated=[not problem and is_calibrated(resolve(name)) for name, problem in usable])


def weights() -> "pd.DataFrame":
    """The pretrained weights at hand without a network: of installed weight packages, and in the hub's cache.

    Columns: model (what `open(..., pretrained=True)` takes), source, file, MB, digest (sha256), accuracy (top-1 on
    ImageNet as the authors publish it, 0 to 1; NaN where unknown), problem (why a file is not read, or "").
    `.attrs["note"]` says how the packages that are not installed are installed.
    """
    from .state import weights_at_hand
    from .table import Table

    return Table(weights_at_hand())
