"""Calibration of the Ethos-U family: measure whole networks, keep the compiler's figures and the model's of each.

Networks are random ones (`random_networks.py`) and timm's backbones (`calibration_networks.py`), families in turn. Each
measured network is a file of its own in a work folder, so a run that was stopped goes on where it was; at the end they
become one table (`measured_networks.py`), from which intervals follow (`intervals.py`).
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pandas as pd

from ..files import home, write_atomic
from ..graph import Graph
from ..hardware import EthosU, Measurement
from ..hardware.ethos_u import ETHOS_U
from .calibration_networks import with_attention
from .cycle_model import modelled
from .measured_networks import calibrations_folder, row_of, write_rows

__all__ = ["calibrate", "random_configuration"]

NETWORKS = 240


def calibrate(
    target: EthosU | None,
    networks: int = NETWORKS,
    work: Path | None = None,
    out: Path | None = None,
    report: Callable[[int, int, str], None] | None = None,
) -> Path:
    """Measure `networks` networks and write their table; returns its path. About 0.5 s a network.

    target: a configuration, or None for one drawn at random for every network. work: folder of part files (default: the
    user's folder). out: the table's folder (default: the user's calibrations). report(done, total, name) is called
    after every network.
    """
    name = "ethos-u" if target is None else target.name
    work = work or home() / "work" / (name if target is None else target.digest)
    work.mkdir(parents=True, exist_ok=True)
    rows = []
    for count, (network, family, make) in enumerate(with_attention(networks), 1):
        part = work / f"{network}.json"
        if not part.exists():
            configuration = target or random_configuration(network)
            graph = make()
            row = None if graph is None else _measure(network, family, graph, configuration)
            write_atomic(part, json.dumps(row).encode())
        row = json.loads(part.read_text(encoding="utf-8"))
        if row is not None:
            rows.append(row)
        if report is not None:
            report(count, networks, network)
    return write_rows(pd.DataFrame(rows), (out or calibrations_folder()) / f"{_file_name(name)}.parquet")


def random_configuration(seed: str) -> EthosU:
    """A configuration of the family drawn at random; the same seed gives the same one."""
    random = Random(seed)
    accelerator = random.choice(ETHOS_U)
    system, mode = random.choice(list(_configurations(accelerator)))
    arena = random.choice([None, None, 256, 384, 512, 1024])
    return EthosU(
        accelerator,
        system_config=system,
        memory_mode=mode,
        arena_bytes=None if arena is None else arena * 1024,
        strategy=random.choice(["performance"] * 3 + ["size"]),
    )


def _configurations(accelerator: str) -> Iterator[tuple[str, str]]:
    """Shipped system configurations of an accelerator with the memory modes that make sense for them."""
    system_names, modes = EthosU(accelerator).section_names
    family = accelerator.split("-")[1].capitalize()
    for system in system_names:
        if f"_{family}_" in system:
            dram = "Dram" in EthosU(accelerator, system_config=system).configuration[0].get("axi1_port", "")
            for mode in modes:
                if dram or not mode.startswith("Dedicated"):
                    yield system, mode


def _measure(network: str, family: str, graph: Graph, target: EthosU) -> dict[str, object] | None:
    measurement: Measurement = target.measure_graph(graph)
    if not measurement.complete:
        return None
    return row_of(network, family, graph, target, measurement, modelled(graph, target))


def _file_name(name: str) -> str:
    return "".join(c if c.isalnum() or c in "-_.=" else "_" for c in name)
