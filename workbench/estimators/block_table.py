"""The table of a network's blocks, with latencies and without."""

from collections.abc import Mapping
from math import prod

import pandas as pd

from ..graph import Graph
from ..table import Table

__all__ = ["block_params", "block_table"]


def block_params(graph: Graph) -> list[int]:
    """Trainable values of every block, in order; a parameter that several blocks read counts in the first of them.

    One that no operator reads counts in the block whose module has it, in the last block where none has. So they add up
    to `graph.params`.
    """
    counted: set[str] = set()
    counts = []
    for block in graph.blocks:
        params = [param for name in block.ops for param in graph.by_name[name].params]
        sizes = {key: prod(shape) for p in params for key, shape in p.parameters if key not in counted}
        counted.update(sizes)
        counts.append(sum(sizes.values()))
    names = [block.name for block in graph.blocks]
    for key, shape in graph.unread:
        owner = key.rpartition(".")[0]
        while owner and owner not in names:
            owner = owner.rpartition(".")[0]
        counts[names.index(owner) if owner in names else -1] += prod(shape)
    return counts


def block_table(graph: Graph, latency_ms: Mapping[str, float] | None = None) -> pd.DataFrame:
    """One row per block: name, kind, shape ("16x56x56", the batch left out), latency_ms, share, macs, params.

    latency_ms: milliseconds by graph operator, those that cost nothing left out. None where latencies are unknown:
    latency_ms and share are then NaN.
    """
    total = float("nan") if latency_ms is None else sum(latency_ms.values()) or 1.0
    rows = []
    for block, params in zip(graph.blocks, block_params(graph), strict=True):
        spent = float("nan") if latency_ms is None else sum(latency_ms.get(name, 0.0) for name in block.ops)
        rows.append(
            {
                "name": block.name,
                "kind": block.kind,
                "shape": "x".join(map(str, graph.by_name[block.output].shape[1:])),
                "latency_ms": spent,
                "share": spent / total,
                "macs": sum(graph.by_name[name].macs for name in block.ops),
                "params": params,
            }
        )
    return Table(rows)
