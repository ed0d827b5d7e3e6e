"""Times ONNX files in a process of its own: `python onnx_timing.py`, one JSON request a line, one JSON answer each.

Imports nothing of the workbench, so that it starts in a fraction of a second and dies alone.

    request   {"files": [path, ...], "threads": n, "rounds": n, "seconds": s}
    answer    [{"rounds": [ms, ...], "error": "" or why}, ...]      one for each file

Every file is timed `rounds` times for about `seconds`, the files in turn, so that a slow minute of the machine falls
on all of them and spares some rounds of each. One round's figure is the median of its undisturbed runs: with one
thread, runs in which the scheduler gave the core to somebody else (wall clock beyond the thread's own time) are left
out.
"""

import json
import os
import sys
from statistics import median
from time import perf_counter, perf_counter_ns, thread_time_ns
from typing import Any

__all__ = ["time_files"]

_DISTURBED = 1.02  # wall clock over the thread's own time
_WARM_RUNS, _WARM_SECONDS = 1, 0.02
_LEAST_RUNS, _MOST_RUNS = 3, 2000


def time_files(files: list[str], threads: int, rounds: int, seconds: float) -> list[dict[str, Any]]:
    """Milliseconds of one inference, per file and round."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 4
    if threads == 1 and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    answers: list[dict[str, Any]] = [{"rounds": [], "error": ""} for _ in files]
    ready = []
    for file, answer in zip(files, answers, strict=True):
        try:
            session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
            feed = {given.name: _values(given) for given in session.get_inputs()}
            session.run(None, feed)
        except Exception as error:  # whatever the runtime makes of a file is said, not raised
            answer["error"] = " ".join(str(error).split())[:500] or type(error).__name__
        else:
            ready.append((session, feed, answer["rounds"]))
    for _ in range(rounds):
        for session, feed, timed in ready:
            timed.append(_round(session, feed, threads, seconds))
    return answers


def _values(given: Any) -> Any:
    import numpy as np

    shape = [n if isinstance(n, int) else 1 for n in given.shape]  # a symbolic size is the batch
    types = {"tensor(float)": np.float32, "tensor(uint8)": np.uint8, "tensor(int8)": np.int8, "tensor(int64)": np.int64}
    if given.type not in types:
        raise ValueError(f"the input {given.name!r} is a {given.type}; {', '.join(types)} can be fed")
    values = np.random.default_rng(0).standard_normal(shape)
    return (np.abs(values) if given.type != "tensor(float)" else values).astype(types[given.type])


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
