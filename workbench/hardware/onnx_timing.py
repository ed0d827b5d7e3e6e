"""Times ONNX files in a process of its own: `python onnx_timing.py`, one JSON request a line, one JSON answer each.

Imports nothing of the workbench, so that it starts in a fraction of a second and dies alone.

    request   {"files": [path, ...], "threads": n, "rounds": n, "seconds": s, "nodes": whether to time these, too}
    answer    [{"rounds": [ms, ...], "nodes": [[name, kind, ms], ...], "error": "" or why}, ...]      one for each file

Every file is timed `rounds` times for about `seconds`, the files in turn, so that a slow minute of the machine falls
on all of them and spares some rounds of each. One round's figure is the median of its undisturbed runs: with one
thread, runs in which the scheduler gave the core to somebody else (wall clock beyond the thread's own time) are left
out. Nodes are what the runtime's own profiler says of the network it made of the file, in rounds of their own: it
writes while they run.
"""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter, perf_counter_ns, thread_time_ns
from typing import Any

__all__ = ["open_session", "time_files"]

_DISTURBED = 1.02  # wall clock over the thread's own time
_WARM_RUNS, _WARM_SECONDS = 1, 0.02
_LEAST_RUNS, _MOST_RUNS = 3, 2000
_PROFILED_ROUNDS = 4
_KERNEL = "_kernel_time"


def time_files(
    files: list[str], threads: int, rounds: int, seconds: float, nodes: bool = False
) -> list[dict[str, Any]]:
    """Milliseconds of one inference, per file and round."""
    if threads == 1 and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    answers: list[dict[str, Any]] = [{"rounds": [], "nodes": [], "error": ""} for _ in files]
    ready = []
    for file, answer in zip(files, answers, strict=True):
        try:
            session = open_session(file, threads)
            feed = {tensor.name: _values(tensor) for tensor in session.get_inputs()}
            session.run(None, feed)
        except Exception as error:  # whatever the runtime makes of a file is said, not raised
            answer["error"] = " ".join(str(error).split())[:500] or type(error).__name__
        else:
            ready.append((session, feed, file, answer))
    for _ in range(rounds):
        for session, feed, _, answer in ready:
            answer["rounds"].append(_round(session, feed, threads, seconds))
    if nodes:
        timed = _profiled([(file, feed, min(answer["rounds"])) for _, feed, file, answer in ready], threads, seconds)
        for (_, _, _, answer), latencies in zip(ready, timed, strict=True):
            answer["nodes"] = latencies
    return answers


def open_session(source: str | bytes, threads: int = 0, profile_prefix: str = "") -> Any:
    """The onnxruntime.InferenceSession of an ONNX file, a path or its bytes: the one place that decides its options.

    threads: of one operator; 0 leaves them to the runtime. profile_prefix: path and start of the name of the file the
    runtime's profiler writes; empty for none. Raises what the runtime raises of a file it cannot load.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 4
    if profile_prefix:
        options.enable_profiling, options.profile_file_prefix = True, profile_prefix
    return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def _profiled(
    networks: Sequence[tuple[str, Any, float]], threads: int, seconds: float
) -> list[list[tuple[str, str, float]]]:
    """(name, kind, milliseconds) of the nodes of every network, given as (file, feed, milliseconds), in their order."""
    with TemporaryDirectory() as folder:
        sessions = [open_session(file, threads, str(Path(folder) / f"{i}")) for i, (file, _, _) in enumerate(networks)]
        runs = [min(max(round(seconds / _PROFILED_ROUNDS * 1e3 / ms), 2), 200) for _, _, ms in networks]
        for _ in range(_PROFILED_ROUNDS):
            for session, (_, feed, _), count in zip(sessions, networks, runs, strict=True):
                for _ in range(count + 1):
                    session.run(None, feed)
        return [
            _nodes(json.loads(Path(session.end_profiling()).read_text(encoding="utf-8")), count + 1)
            for session, count in zip(sessions, runs, strict=True)
        ]


def _nodes(events: Sequence[Any], runs: int) -> list[tuple[str, str, float]]:
    """Of what the profiler wrote; of the `runs` of a round the first one only warms up."""
    taken: dict[tuple[int, str, str], list[float]] = {}
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith(_KERNEL):
            details = event["args"]
            key = int(details["node_index"]), event["name"].removesuffix(_KERNEL), details["op_name"]
            taken.setdefault(key, []).append(event["dur"] / 1e3)
    return [
        (name, kind, min(median(times[k + 1 : k + runs]) for k in range(0, len(times), runs)))
        for (_, name, kind), times in taken.items()
    ]


def _values(tensor: Any) -> Any:
    import numpy as np

    shape = [n if isinstance(n, int) else 1 for n in tensor.shape]  # a symbolic size is the batch
    types = {"tensor(float)": np.float32, "tensor(uint8)": np.uint8, "tensor(int8)": np.int8, "tensor(int64)": np.int64}
    if tensor.type not in types:
        raise ValueError(f"the input {tensor.name!r} is a {tensor.type}; {', '.join(types)} can be fed")
    values = np.random.default_rng(0).standard_normal(shape)
    return (np.abs(values) if tensor.type != "tensor(float)" else values).astype(types[tensor.type])


def _round(session: Any, feed: Any, threads: int, seconds: float) -> float:
    start, runs = perf_counter(), 0
    while runs < _WARM_RUNS or (perf_counter() - start < _WARM_SECONDS and runs < _MOST_RUNS):
        session.run(None, feed)
        runs += 1
    walls: list[int] = []
    quiet: list[int] = []
    start = perf_counter()
    while len(walls) < _LEAST_RUNS or (perf_counter() - start < seconds and len(walls) < _MOST_RUNS):
        own, wall = thread_time_ns(), perf_counter_ns()
        session.run(None, feed)
        wall, own = perf_counter_ns() - wall, thread_time_ns() - own
        walls.append(wall)
        if wall <= _DISTURBED * own:
            quiet.append(wall)
    return median(quiet if threads == 1 and len(quiet) >= _LEAST_RUNS // 2 else walls) / 1e6


def _main() -> None:
    for line in sys.stdin:
        sys.stdout.write(json.dumps(time_files(**json.loads(line))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _main()
