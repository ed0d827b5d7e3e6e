"""Make a vision model fast on a neural accelerator: see its cost, apply recipes, verify, share.

>>> import workbench as wb
>>> session = wb.open("mobilenetv2_100", target="ethos-u65-512")  # doctest: +SKIP
>>> session.apply(wb.FuseIBN(blocks="blocks.1.*")).compare(session)  # doctest: +SKIP
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from . import errors
    from .estimators.estimate import Estimate
    from .hardware import Target
    from .hardware.measurement import Measurement
    from .recipe import Recipe
    from .session import Session, load, open
    from .session.bundle_check import check as verify
    from .transforms import (
        ClusterWeights,
        DenseDepthwise,
        DepthMultiplier,
        DropBlock,
        EvenChannels,
        ExpandRatio,
        FuseIBN,
        InputSize,
        KernelSize,
        OutputStride,
        RemoveSE,
        ReplaceActivation,
        Sparsify,
    )

__version__ = "0.1.0"

__all__ = [
    "ClusterWeights",
    "DenseDepthwise",
    "DepthMultiplier",
    "DropBlock",
    "Estimate",
    "EvenChannels",
    "ExpandRatio",
    "FuseIBN",
    "InputSize",
    "KernelSize",
    "Measurement",
    "OutputStride",
    "Recipe",
    "RemoveSE",
    "ReplaceActivation",
    "Session",
    "Sparsify",
    "Target",
    "__version__",
    "errors",
    "load",
    "open",
    "targets",
    "verify",
]

# name -> (module, attribute): looked up on first use, so that `import workbench` costs no torch, timm or pandas.
_WHERE = {
    "ClusterWeights": ("transforms", "ClusterWeights"),
    "DenseDepthwise": ("transforms", "DenseDepthwise"),
    "DepthMultiplier": ("transforms", "DepthMultiplier"),
    "DropBlock": ("transforms", "DropBlock"),
    "Estimate": ("estimators.estimate", "Estimate"),
    "EvenChannels": ("transforms", "EvenChannels"),
    "ExpandRatio": ("transforms", "ExpandRatio"),
    "FuseIBN": ("transforms", "FuseIBN"),
    "InputSize": ("transforms", "InputSize"),
    "KernelSize": ("transforms", "KernelSize"),
    "Measurement": ("hardware.measurement", "Measurement"),
    "OutputStride": ("transforms", "OutputStride"),
    "Recipe": ("recipe", "Recipe"),
    "RemoveSE": ("transforms", "RemoveSE"),
    "ReplaceActivation": ("transforms", "ReplaceActivation"),
    "Session": ("session", "Session"),
    "Sparsify": ("transforms", "Sparsify"),
    "Target": ("hardware", "Target"),
    "errors": ("errors", ""),
    "load": ("session", "load"),
    "open": ("session", "open"),
    "verify": ("session.bundle_check", "check"),
}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'workbench' has no attribute {name!r}")
    module_name, attribute = _WHERE[name]
    module = import_module(f".{module_name}", __name__)
    return getattr(module, attribute) if attribute else module


def __dir__() -> list[str]:
    return sorted(__all__)


def targets() -> "pd.DataFrame":
    """The targets known by name: multiply-accumulates a cycle, clock, compiler, whether estimates are calibrated."""
    from .estimators import is_calibrated
    from .hardware import list_targets, resolve

    table = list_targets()
    usable = zip(table["name"], table["problem"], strict=True)
    return table.assign(calibrated=[not problem and is_calibrated(resolve(name)) for name, problem in usable])
