"""The table of a network's blocks, with latencies and without."""

from collections.abc import Mapping
from math import prod

import pandas as pd

from ..graph import Graph

__all__ = ["block_params", "block_table"]


def block_params(graph: Graph) -> list[int]:
    """Trainable values of every block, in order; a parameter that several blocks read counts in the first of them.

    So they add up to `graph.params`.
    """
    counted: set[str] = set()
    counts = []
    for block in graph.blocks:
        params = [param for name in block.ops for param in graph.by_name[name].params]
        sizes = {p.name: prod(p.shape) for p in params if not p.role.startswith("running") and p.name not in counted}
        counted.update(sizes)
        counts.append(sum(sizes.values()))
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
    return pd.DataFrame(rows)
