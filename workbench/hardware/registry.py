"""Names and descriptions to targets: ours, a lab's tables, and those other packages bring.

A package registers targets by the entry point group "workbench.targets", name -> something callable without
arguments that returns a Target:

    [project.entry-points."workbench.targets"]
    my-npu = "my_package.targets:my_npu"

An entry point that fails to load is a row with its problem in `list_targets()`, and an error only for whoever asks
for it.
"""

from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import pandas as pd

from ..errors import WorkbenchError, unknown
from .ethos_u import ETHOS_U, EthosU
from .onnxruntime_cpu import ONNXRUNTIME_CPU, OnnxRuntimeCpu
from .table import TableTarget
from .target import Target
from .torch_cuda import TorchCuda, gpu_name

__all__ = ["GROUP", "list_targets", "resolve"]

GROUP = "workbench.targets"
_TABLE, _GPU = "table:", "torch-cuda"


def resolve(target: str | Mapping[str, Any] | Target) -> Target:
    """A target from its name, from "table:FILE", or from what `Target.describe` gave; targets pass through.

    Raises UnknownName with the nearest name or option, InputError for a value that breaks a rule.

    >>> resolve("ethos-u65-512").channel_multiple
    16
    """
    if isinstance(target, Target):
        return target
    if not isinstance(target, str):
        return EthosU.with_options(**target)
    if target.startswith(_TABLE):
        return TableTarget(target.removeprefix(_TABLE))
    builtin, others = _builtin(), _others()
    if target == _GPU and gpu_name() is not None:
        return TorchCuda()
    if target in builtin:
        return builtin[target]()
    if target in others:
        return _loaded(others[target])
    raise unknown("target", target, [*builtin, *others])


def list_targets() -> pd.DataFrame:
    """The targets known by name: macs (a cycle), clock_mhz, compiler; problem: why one cannot be used, or ""."""
    rows = [_row(name, construct()) for name, construct in _builtin().items()]
    if gpu_name() is not None:
        rows.append(_row(_GPU, TorchCuda()))
    for name, point in _others().items():
        try:
            rows.append(_row(name, _loaded(point)))
        except WorkbenchError as error:
            rows.append({"name": name, "macs": None, "clock_mhz": None, "compiler": "", "problem": str(error)})
    return pd.DataFrame(rows).astype({"macs": "Int64", "clock_mhz": float})


def _row(name: str, target: Target) -> dict[str, object]:
    array = target.mac_array
    return {
        "name": name,
        "macs": array.macs if array is not None else None,
        "clock_mhz": array.clock_hz / 1e6 if array is not None else None,
        "compiler": target.compiler,
        "problem": "",
    }


def _builtin() -> Mapping[str, Callable[[], Target]]:
    def npu(name: str) -> Callable[[], Target]:
        return lambda: EthosU(name)

    def cpu(dtype: str) -> Callable[[], Target]:
        return lambda: OnnxRuntimeCpu(dtype)

    return {name: npu(name) for name in ETHOS_U} | {name: cpu(dtype) for name, dtype in ONNXRUNTIME_CPU.items()}


def _others() -> Mapping[str, EntryPoint]:
    """Entry points of other packages; names of ours and of files are not theirs to take."""
    builtin = _builtin()
    return {p.name: p for p in entry_points(group=GROUP) if p.name not in builtin and not p.name.startswith(_TABLE)}


def _loaded(point: EntryPoint) -> Target:
    try:
        target = point.load()()
    except Exception as error:  # somebody else's code: anything may come
        problem = f"{type(error).__name__}: {error}".split("\n")[0]
        raise WorkbenchError(f"the target {point.name!r} ({point.value}) cannot be loaded: {problem}") from error
    if not isinstance(target, Target):
        raise WorkbenchError(f"the target {point.name!r} ({point.value}) is a {type(target).__name__}, not a Target")
    return target
