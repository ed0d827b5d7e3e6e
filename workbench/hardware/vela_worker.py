"""The compiler as a guest: Vela in worker processes of its own.

Vela's core can segfault on valid models, holds the interpreter's lock while it works and writes to file
descriptors 1 and 2 past Python. So it runs in a small pool of persistent processes with a time limit; a crash,
a hang or a refusal is a result with a reason, the worker is replaced, and the caller's process never notices.

Frames on a private pair of pipes: an 8-byte length and that many bytes. A request is a JSON header frame and
the network's bytes; an answer is one JSON frame. Nothing is ever pickled. The worker's own output goes to a
temporary file whose last lines explain a crash.

Run as `python -m workbench.hardware.vela_worker READ_FD WRITE_FD` (the pool does).
"""

import atexit
import contextlib
import json
import os
import queue
import select
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, BinaryIO

__all__ = ["TIME_LIMIT_S", "VelaPool", "shared_pool"]

TIME_LIMIT_S = 120.0
_WORKERS = 2
_LENGTH = struct.Struct("<Q")


class VelaPool:
    """A few worker processes that compile networks; thread-safe; workers start at first use.

    A settings mapping holds what Vela's command line would be given: accelerator, system_config, memory_mode,
    arena_bytes, strategy ("performance" | "size"), ini (path or None), features_off (a tuple of "cascading",
    "buffering").
    """

    def __init__(self, workers: int = _WORKERS) -> None:
        self._idle: queue.LifoQueue[_Worker | None] = queue.LifoQueue()
        for _ in range(workers):
            self._idle.put(None)
        self.workers = workers
        atexit.register(self.close)

    def compile(
        self, settings: Mapping[str, Any], network: bytes, time_limit_s: float = TIME_LIMIT_S
    ) -> dict[str, Any]:
        """The compiler's answer: {"status": "compiled", ...figures} or {"status", "reason"} where it gave none."""
        worker = self._idle.get()
        try:
            if worker is None or not worker.alive:
                worker = _Worker()
            answer = worker.ask(settings, network, time_limit_s)
            if answer["status"] in ("crashed", "timeout"):
                worker.stop()
                worker = None
            return answer
        finally:
            self._idle.put(worker)

    def compile_many(self, settings: Mapping[str, Any], networks: Iterable[bytes]) -> Iterator[dict[str, Any]]:
        """Answers in order, all workers kept busy; at most two networks a worker are held at once."""
        with ThreadPoolExecutor(self.workers) as threads:
            pending = []
            for network in networks:
                pending.append(threads.submit(self.compile, settings, network))
                if len(pending) > 2 * self.workers:
                    yield pending.pop(0).result()
            for future in pending:
                yield future.result()

    def close(self) -> None:
        """End the workers; the pool starts new ones if it is used again."""
        for _ in range(self.workers):
            with contextlib.suppress(queue.Empty):
                worker = self._idle.get_nowait()
                if worker is not None:
                    worker.stop()
        for _ in range(self.workers - self._idle.qsize()):
            self._idle.put(None)


class _Worker:
    def __init__(self) -> None:
        request_r, request_w = os.pipe()
        answer_r, answer_w = os.pipe()
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 (lives as long as the worker)
        # -c instead of -m: the package may be imported from a directory that is only on sys.path
        root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        code = f"import sys; sys.path.insert(0, {root!r}); from {__name__} import serve; serve({request_r}, {answer_w})"
        self._process = subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            pass_fds=(request_r, answer_w),
        )
        os.close(request_r)
        os.close(answer_w)
        self._requests = os.fdopen(request_w, "wb")
        self._answers = os.fdopen(answer_r, "rb", buffering=0)

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def ask(self, settings: Mapping[str, Any], network: bytes, time_limit_s: float) -> dict[str, Any]:
        deadline = time.monotonic() + time_limit_s
        self._log.seek(0)
        self._log.truncate()
        try:
            _send(self._requests, json.dumps(dict(settings)).encode())
            _send(self._requests, network)
            answer = _receive(self._answers, deadline)
        except TimeoutError:
            self._process.kill()
            return {"status": "timeout", "reason": f"the compiler did not answer within {time_limit_s:g} s"}
        except (BrokenPipeError, EOFError):
            return {"status": "crashed", "reason": self._death()}
        return json.loads(answer)

    def _death(self) -> str:
        code = self._process.wait(10)
        how = f"exit code {code}" if code >= 0 else signal.Signals(-code).name
        self._log.seek(0)
        tail = [line for line in self._log.read()[-2000:].decode(errors="replace").splitlines() if line.strip()]
        return f"the compiler process died ({how})" + (f": {tail[-1]}" if tail else "")

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()
        for stream in (self._requests, self._answers, self._log):
            with contextlib.suppress(OSError):
                stream.close()


_pool: VelaPool | None = None
_lock = threading.Lock()


def shared_pool() -> VelaPool:
    """The process-wide pool (a compiler is a machine-wide resource: two cores, two compilers)."""
    global _pool
    with _lock:
        if _pool is None:
            _pool = VelaPool()
        return _pool


def _send(stream: BinaryIO, payload: bytes) -> None:
    stream.write(_LENGTH.pack(len(payload)) + payload)
    stream.flush()


def _receive(stream: BinaryIO, deadline: float = float("inf")) -> bytes:
    return _read(stream, _LENGTH.unpack(_read(stream, _LENGTH.size, deadline))[0], deadline)


def _read(stream: BinaryIO, n: int, deadline: float) -> bytes:
    parts, missing = [], n
    while missing:
        wait = None if deadline == float("inf") else max(0.0, deadline - time.monotonic())
        if not select.select([stream], [], [], wait)[0]:
            raise TimeoutError
        part = os.read(stream.fileno(), min(missing, 1 << 20))
        if not part:
            raise EOFError
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)


# ---- inside the worker ------------------------------------------------------------------------------------------


def serve(request_fd: int, answer_fd: int) -> None:
    """Answer requests until the other end closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupted notebook cell must not end the compiler
    with os.fdopen(request_fd, "rb", buffering=0) as requests, os.fdopen(answer_fd, "wb") as answers:
        while True:
            try:
                settings = json.loads(_receive(requests))
                network = _receive(requests)
            except EOFError:
                return
            try:
                answer = _compile(settings, network)
            except (Exception, SystemExit) as error:
                lines = str(error).strip().splitlines()
                answer = {"status": "refused", "reason": lines[0] if lines else type(error).__name__}
            _send(answers, json.dumps(answer).encode())


def _architecture(settings: Mapping[str, Any]) -> Any:
    from ethosu.vela.architecture_features import ArchitectureFeatures

    default = ArchitectureFeatures.DEFAULT_CONFIG
    return ArchitectureFeatures(
        vela_config_files=[settings["ini"]] if settings.get("ini") else None,
        system_config=settings.get("system_config") or default,
        memory_mode=settings.get("memory_mode") or default,
        accelerator_config=settings["accelerator"],
        max_blockdep=ArchitectureFeatures.MAX_BLOCKDEP,
        verbose_config=False,
        arena_cache_size=settings.get("arena_bytes"),
    )


def _compile(settings: Mapping[str, Any], network: bytes) -> dict[str, Any]:
    """One compile exactly as Vela's command line does it."""
    from ethosu import regor
    from ethosu.vela import vela
    from ethosu.vela.tensor import TensorPurpose

    _check_flatbuffer(network)
    arch = _architecture(settings)
    system = (
        f"[architecture]\nmacs={arch.num_macs_per_cycle}\ncores={arch.ncores}\n"
        f"[vela]\nsystem_config_name={arch.system_config}\nmemory_mode_name={arch.memory_mode}\n"
    )
    for path in arch.vela_config_files or ():
        with open(path, encoding="utf-8") as file:
            system += file.read()
    off = settings.get("features_off", ())
    options = vela.get_compiler_config(
        enable_debug_db=True,
        verbose_all=False,
        verbose_high_level_command_stream=False,
        verbose_register_command_stream=False,
        optimize=settings.get("strategy", "performance").capitalize(),
        arena_cache_size=arch.arena_cache_size,
        verbose_schedule=False,
        verbose_allocation=False,
        verbose_graph=False,
        verbose_quantization=False,
        verbose_packing=False,
        verbose_performance=True,
        show_cpu_operations=False,
        output_format="tflite",
        disable_chaining=False,
        disable_fwd=False,
        disable_cascading="cascading" in off,
        disable_buffering="buffering" in off,
        disable_ifm_reuse=False,
        cop_format="COP1",
        separate_io_regions=False,
        cpu_tensor_alignment=16,
        tensor_allocator="HillClimb",
        softmax_int16_neg_exp_range=10.0,
    )
    family = "".join(part.capitalize() for part in settings["accelerator"].split("-")[:-1])
    compiled = regor.compile(family, network, "TFLITE", system, options=options, verbose=False)
    report = compiled.perf_report
    tables = compiled.opt_database.tables
    keys = {row["id"]: int(row["ext_key"] or -1) for row in _rows(tables, "source")}
    memories = {str(name).lower(): memory for name, memory in report.memories.items()}
    peaks = {name: int(memory.peakUsage) for name, memory in memories.items()}
    read_only = int(report.readOnlyPeakUsage)
    weights_in = str(arch.tensor_storage_mem_area[TensorPurpose.Weights].name).lower()
    if read_only and weights_in == "onchipflash" and "onchipflash" not in peaks:
        # the command line's own rule where constants share the SRAM
        peaks |= {"onchipflash": read_only, "sram": peaks.get("sram", 0) - read_only}
    return {
        "status": "compiled",
        "cycles": int(report.totalCycles),
        "npu_cycles": int(report.npuCycles),
        "peak_bytes": peaks,
        "access_cycles": {name: int(m.totalAccessCycles) for name, m in memories.items()},
        "macs": sum(int(row["mac_count"]) for row in _rows(tables, "perf")),
        "clock_hz": float(arch.core_clock),
        "ops": [
            {
                "kind": row["operator"],
                "source": keys.get(row["source_id"], -1),
                "op_cycles": int(row["op_cycles"]),
                "npu_cycles": int(row["npu_cycles"]),
                "macs": int(row["mac_count"]),
                "staging_bytes": int(row["staging_usage"]),
                "access_cycles": {k[:-3].lower(): int(v or 0) for k, v in row.items() if k.endswith("_ac")},
            }
            for row in _rows(tables, "perf")
        ],
        "cpu_ops": _left_on_cpu(compiled.model),
    }


def _rows(tables: Mapping[str, Any], name: str) -> Iterator[dict[str, str]]:
    table = tables.get(name)
    if table is None:
        return
    for row in table.data if hasattr(table, "data") else table.rows:
        yield dict(zip(table.header, row, strict=True))


def _check_flatbuffer(network: bytes) -> None:
    """Refuse what is plainly no TFLite file: the compiler would read past the end of it."""
    from ethosu.vela.tflite.Model import Model

    if len(network) < 64 or network[4:8] != b"TFL3":
        raise ValueError("not a TFLite file: the identifier TFL3 is missing")
    try:
        model = Model.GetRootAs(network, 0)
        for s in range(model.SubgraphsLength()):
            graph = model.Subgraphs(s)
            for t in range(graph.TensorsLength()):
                tensor = graph.Tensors(t)
                buffer = model.Buffers(tensor.Buffer())
                tensor.Name(), tensor.ShapeAsNumpy()
                if buffer is not None and buffer.Offset() + buffer.Size() > len(network):
                    raise ValueError("a tensor's data lies beyond the end of the file")
                if buffer is not None and buffer.DataLength():
                    buffer.Data(buffer.DataLength() - 1)
            for o in range(graph.OperatorsLength()):
                operator = graph.Operators(o)
                model.OperatorCodes(operator.OpcodeIndex()).BuiltinCode()
                for i in range(operator.InputsLength()):
                    operator.Inputs(i)
    except (struct.error, IndexError, TypeError, AttributeError) as error:
        raise ValueError(f"a damaged TFLite file ({type(error).__name__} while reading it)") from None


def _left_on_cpu(compiled: bytes) -> list[list[str]]:
    """[kind, output tensor] of every operator the compiled file still leaves to the host."""
    from ethosu.vela.tflite import BuiltinOperator
    from ethosu.vela.tflite.Model import Model

    names = {v: k for k, v in vars(BuiltinOperator.BuiltinOperator).items() if not k.startswith("_")}
    model = Model.GetRootAs(bytes(compiled), 0)
    found = []
    for s in range(model.SubgraphsLength()):
        graph = model.Subgraphs(s)
        for o in range(graph.OperatorsLength()):
            operator = graph.Operators(o)
            code = model.OperatorCodes(operator.OpcodeIndex())
            number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
            if names.get(number) != "CUSTOM":
                output = graph.Tensors(operator.Outputs(0)).Name()
                found.append([names.get(number, str(number)), (output or b"").decode(errors="replace")])
    return found


if __name__ == "__main__":
    serve(int(sys.argv[1]), int(sys.argv[2]))
