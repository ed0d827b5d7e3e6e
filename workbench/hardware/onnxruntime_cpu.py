"""ONNX Runtime on the machine at hand: real time, and with it real noise.

A network is timed in several short rounds, in turn with others where several are measured, and the quickest round
counts: what other programs do to a shared machine only ever adds time. How well that repeats is a property of the
machine; `make bench-devices` prints it beside every accuracy figure. The runtime's own profiler says what the nodes of
its optimised network take: `Measurement.ops`.
"""

import json
import platform
import re
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cache, cached_property
from hashlib import sha256
from importlib.metadata import version
from itertools import islice
from os import PathLike
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd

from ..errors import InputError, WorkbenchError, unknown
from ..graph import Graph
from .measurement import Measurement
from .onnx_file import write_onnx
from .target import Target
from .weight_values import Weights

__all__ = ["ONNXRUNTIME_CPU", "OnnxRuntimeCpu", "processor"]

ONNXRUNTIME_CPU = {"onnxruntime-cpu": "float32", "onnxruntime-cpu-int8": "int8"}
_TOGETHER = 8  # networks that take turns
_RENAMED = re.compile(r"(/.*|_bn|_nchwc|_bn_nchwc|_new_reshape)$")
_NODE = ("source", "kind", "latency_ms")
_TIMER = Path(__file__).with_name("onnx_timing.py")


@dataclass(frozen=True)
class OnnxRuntimeCpu(Target):
    """The CPU of this machine.

    dtype: what `measure_graph` writes, "float32" or "int8" (QDQ); a file is timed as it is. threads: intra-op
    threads; one is pinned to a core. rounds, seconds: how often and how long each network is timed.

    >>> OnnxRuntimeCpu("int8", threads=2).name
    'onnxruntime-cpu-int8 (threads=2)'
    """

    dtype: str = "float32"
    threads: int = 1
    rounds: int = 8
    seconds: float = 0.15

    def __post_init__(self) -> None:
        if self.dtype not in ONNXRUNTIME_CPU.values():
            raise unknown("dtype", self.dtype, ONNXRUNTIME_CPU.values())
        for name in ("threads", "rounds"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}; it must be at least 1")
        if not self.seconds > 0:
            raise InputError(f"seconds is {self.seconds}; it must be above 0 (0.15 is the default)")

    @property
    def name(self) -> str:
        """The runtime and dtype, and what differs from the defaults in brackets."""
        changed = [f"{f.name}={getattr(self, f.name)}" for f in fields(self)[1:] if getattr(self, f.name) != f.default]
        base = next(name for name, dtype in ONNXRUNTIME_CPU.items() if dtype == self.dtype)
        return f"{base} ({', '.join(changed)})" if changed else base

    @cached_property
    def digest(self) -> str:
        """Of the configuration, the runtime's version and this machine's processor."""
        content = {**asdict(self), "compiler": self.compiler, "processor": processor()}
        return sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def compiler(self) -> str:
        return f"onnxruntime {version('onnxruntime')}"

    @property
    def channel_multiple(self) -> int:
        """16: the runtime's blocked layout holds 16 channels of float32 on AVX-512, 8 on AVX2, padded up."""
        return 16

    def measure(self, source: bytes | str | PathLike[str], time_limit_s: float = 120.0) -> Measurement:
        """Time an ONNX file (its path or its bytes). Never raises for what the runtime says: see `status`."""
        if not isinstance(source, bytes):
            path = Path(source)
            if not path.is_file():
                raise InputError(f"there is no file {str(path)!r}; measure takes an .onnx file or its bytes")
            return self._timed([path.resolve()], time_limit_s)[0]
        with TemporaryDirectory() as folder:
            path = Path(folder) / "model.onnx"
            path.write_bytes(source)
            return self._timed([path], time_limit_s)[0]

    def measure_graph(self, graph: Graph, weights: Weights | None = None, time_limit_s: float = 120.0) -> Measurement:
        """Write the graph as ONNX and time it."""
        try:
            return self.measure(write_onnx(graph, weights, self.dtype), time_limit_s)
        except WorkbenchError as error:
            return Measurement("refused", self.name, str(error), kind="measured", compiler=self.compiler)

    def measure_graphs(self, graphs: Iterable[Graph], time_limit_s: float = 120.0) -> Iterator[Measurement]:
        """Measurements in order, with seeded random weights, eight networks in turn (for calibration)."""
        waiting = iter(graphs)
        while batch := list(islice(waiting, _TOGETHER)):
            with TemporaryDirectory() as folder:
                refused: dict[int, Measurement] = {}
                paths = []
                for i, graph in enumerate(batch):
                    try:
                        data = write_onnx(graph, None, self.dtype)
                    except WorkbenchError as error:
                        refused[i] = Measurement("refused", self.name, str(error), "measured", compiler=self.compiler)
                        continue
                    paths.append(Path(folder) / f"{i}.onnx")
                    paths[-1].write_bytes(data)
                timed = iter(self._timed(paths, time_limit_s * len(paths)))
                yield from [refused[i] if i in refused else next(timed) for i in range(len(batch))]

    def _timed(self, paths: Sequence[Path], time_limit_s: float) -> list[Measurement]:
        if not paths:
            return []
        request = {
            "files": [str(p) for p in paths], "threads": self.threads, "rounds": self.rounds, "seconds": self.seconds,
            "nodes": True,
        }  # fmt: skip
        try:
            done = subprocess.run(
                [sys.executable, str(_TIMER)], input=json.dumps(request), capture_output=True, text=True,
                timeout=time_limit_s,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            reason = f"the runtime was stopped after {time_limit_s:g} s"
            return [Measurement("timeout", self.name, reason, "measured", compiler=self.compiler) for _ in paths]
        if done.returncode:
            last_line = done.stderr.strip().splitlines()[-1:] or ["it said nothing"]
            how = signal.Signals(-done.returncode).name if done.returncode < 0 else f"exit code {done.returncode}"
            reason = f"the runtime died ({how}): {last_line[0]}"
            return [Measurement("crashed", self.name, reason, "measured", compiler=self.compiler) for _ in paths]
        return [self._measurement(**answer) for answer in json.loads(done.stdout)]

    def _measurement(self, rounds: list[float], nodes: list[list[Any]], error: str) -> Measurement:
        if error:
            return Measurement("refused", self.name, error, "measured", compiler=self.compiler)
        return Measurement(
            "measured", self.name, kind="measured", latency_ms=min(rounds), rounds_ms=tuple(rounds),
            ops=pd.DataFrame([(_source(name), *timed) for name, *timed in nodes], columns=list(_NODE)),
            compiler=self.compiler,
        )  # fmt: skip


def _source(node: str) -> str:
    """The node of the file that the runtime made one of its own of, or that its own ends with.

    >>> _source("fused linear_3"), _source("relu_2_bn_nchwc"), _source("silu_1/QuickGeluFusion/")
    ('linear_3', 'relu_2', 'silu_1')
    """
    return _RENAMED.sub("", node.removeprefix("fused "))


@cache
def processor() -> str:
    """The processor's name as the system says it, and its architecture."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8", errors="replace").splitlines() if info.is_file() else []
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return f"{model or platform.processor() or 'unknown'} ({platform.machine()})"
