"""What runs inside a compiler process: one compile a request, exactly as Vela's command line does it."""

import json
import os
import signal
from collections.abc import Iterator, Mapping
from typing import Any

from .frames import receive, send
from .network_file import check_network, placement

__all__ = ["serve"]


def serve(request_fd: int, answer_fd: int) -> None:
    """Answer requests until the other end closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupted notebook cell must not end the compiler
    with os.fdopen(request_fd, "rb", buffering=0) as requests, os.fdopen(answer_fd, "wb") as answers:
        while True:
            try:
                settings = json.loads(receive(requests))
                network = receive(requests)
            except EOFError:
                return
            try:
                answer = _compile(settings, network)
            except (Exception, SystemExit) as error:
                lines = str(error).strip().splitlines()
                answer = {"status": "refused", "reason": lines[0] if lines else type(error).__name__}
            send(answers, json.dumps(answer).encode())


def _compile(settings: Mapping[str, Any], network: bytes) -> dict[str, Any]:
    from ethosu import regor

    check_network(network)
    architecture = _architecture(settings)
    family = "".join(part.capitalize() for part in settings["accelerator"].split("-")[:-1])
    compiled = regor.compile(
        family, network, "TFLITE", _system_text(architecture), options=_options(architecture, settings), verbose=False
    )
    where = placement(bytes(compiled.model))
    if where.cpu and not where.accelerated:
        kinds = ", ".join(sorted({kind for kind, _ in where.cpu}))
        raise ValueError(
            f"none of the {len(where.cpu)} operators of the network runs on the accelerator ({kinds} stay on the CPU, "
            "whose time nobody counts); give an int8 network of operators that the compiler takes"
        )
    report, tables = compiled.perf_report, compiled.opt_database.tables
    memories = {str(name).lower(): memory for name, memory in report.memories.items()}
    return {
        "status": "compiled",
        "cycles": int(report.totalCycles),
        "npu_cycles": int(report.npuCycles),
        "peak_bytes": _peak_bytes(memories, int(report.readOnlyPeakUsage), architecture),
        "access_cycles": {name: int(m.totalAccessCycles) for name, m in memories.items()},
        "macs": int(report.macCount),
        "clock_hz": float(architecture.core_clock),
        # the database keeps the last subgraph only
        "ops": _operators(tables) if where.subgraphs == 1 else [],
        "cpu_ops": where.cpu,
    }


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


def _system_text(architecture: Any) -> str:
    text = (
        f"[architecture]\nmacs={architecture.num_macs_per_cycle}\ncores={architecture.ncores}\n"
        f"[vela]\nsystem_config_name={architecture.system_config}\nmemory_mode_name={architecture.memory_mode}\n"
    )
    for path in architecture.vela_config_files or ():
        with open(path, encoding="utf-8") as file:
            text += file.read()
    return text


def _options(architecture: Any, settings: Mapping[str, Any]) -> Any:
    from ethosu.vela import vela

    off = settings.get("features_off", ())
    return vela.get_compiler_config(
        enable_debug_db=True,
        verbose_all=False,
        verbose_high_level_command_stream=False,
        verbose_register_command_stream=False,
        optimize=settings.get("strategy", "performance").capitalize(),
        arena_cache_size=architecture.arena_cache_size,
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


def _peak_bytes(memories: Mapping[str, Any], read_only: int, architecture: Any) -> dict[str, int]:
    """Most bytes in use, by memory; read_only: those of constants."""
    from ethosu.vela.tensor import TensorPurpose

    peaks = {name: int(memory.peakUsage) for name, memory in memories.items()}
    weights_in = str(architecture.tensor_storage_mem_area[TensorPurpose.Weights].name).lower()
    if read_only and weights_in == "onchipflash" and "onchipflash" not in peaks:
        # the command line's own rule where constants share the SRAM
        peaks |= {"onchipflash": read_only, "sram": peaks.get("sram", 0) - read_only}
    return peaks


def _operators(tables: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One row per hardware operator, with the number of the file's operator it came from (-1: the compiler's own)."""
    numbers = {row["id"]: int(row["ext_key"] or -1) for row in _rows(tables, "source")}
    return [
        {
            "kind": row["operator"],
            "source": numbers.get(row["source_id"], -1),
            "op_cycles": int(row["op_cycles"]),
            "npu_cycles": int(row["npu_cycles"]),
            "macs": int(row["mac_count"]),
            "staging_bytes": int(row["staging_usage"]),
            "access_cycles": {k[:-3].lower(): int(v or 0) for k, v in row.items() if k.endswith("_ac")},
        }
        for row in _rows(tables, "perf")
    ]


def _rows(tables: Mapping[str, Any], name: str) -> Iterator[dict[str, str]]:
    table = tables.get(name)
    if table is None:
        return
    for row in table.data if hasattr(table, "data") else table.rows:
        yield dict(zip(table.header, row, strict=True))
