"""What an operator costs on any device: a smooth maximum of four demands, plus a price per operator.

    compute   macs, channels and map sizes rounded up as the device does, at a rate per class; small ones cost more
    results   elements made, at a rate per class
    traffic   elements read and made; dearer where more is alive than fits near
    weights   weights read

    cost = (compute^p + results^p + traffic^p + weights^p)^(1/p) + once per operator + once per further group

p between 1 (they add up) and infinity (they overlap wholly) is a property of the device, as are all rates. Rates are
multiples of what one multiply-accumulate of a convolution costs, and each has a prior: (median, spread) of what is
known of processors in general, in natural logarithms. So a handful of totals moves what they can tell about and
leaves the rest where common sense puts it.
"""

from dataclasses import dataclass
from functools import cached_property
from math import log

import numpy as np

from .operator_work import CLASSES, COLUMNS, OperatorWork

__all__ = ["GRIDS", "NAMES", "PRIOR_MEDIAN", "PRIOR_SPREAD", "Batch", "Grid", "bounds", "costs"]

Grid = tuple[int, int, int]  # what a device rounds up to: channels read, channels made, rows and columns
GRIDS: tuple[Grid, ...] = ((1, 1, 1), (8, 8, 1), (8, 16, 2), (16, 16, 2))

# class -> prior of the cost of a multiply-accumulate, and of an element made (None: as the other dense layers)
_COMPUTE = {
    "stem": (1.5, 1.0),
    "conv": (0.0, 0.5), "pointwise": (0.0, 0.5), "grouped": (0.3, 1.0), "depthwise": (1.5, 1.0), "fully": (0.5, 1.0),
    "product": (0.7, 1.0), "pool": (0.5, 1.0), "reduce": (2.0, 1.5),
}  # fmt: skip
_DENSE = ("stem", "conv", "pointwise", "grouped", "fully", "product")
_RESULTS = {
    "conv": (3.0, 1.0), "depthwise": (3.0, 1.0), "pad": (2.0, 1.0), "move": (3.0, 1.0),
    **dict.fromkeys(
        ("pool", "reduce", "add", "mul", "gate", "affine", "scalar", "activation", "sigmoid", "concat", "other"),
        (4.0, 1.0),
    ),
}  # fmt: skip
# what a compiler often does while it does something else: the part of its price that is left
_FUSES = ("pad", "move", "concat", "activation", "sigmoid", "scalar", "affine", "pool")
_SHARED = {
    **{f"left of {name}": (log(0.4), 1.2) for name in _FUSES}, "strided": (log(0.1), 1.5),
    "strided depthwise": (log(0.1), 1.5),
    "thin input": (0.0, 1.0), "thin output": (0.0, 1.0), "small map": (log(5), 1.0), "traffic": (2.5, 1.0),
    "weights": (3.5, 1.0), "far traffic": (3.0, 1.5), "near capacity": (log(4e5), 1.5), "operator": (log(5e4), 1.5),
    "group": (log(1e4), 1.5), "overlap": (log(2.5), 0.5),
}  # fmt: skip
_PRIORS = (
    {f"compute {name}": p for name, p in _COMPUTE.items()} | {f"results {name}": p for name, p in _RESULTS.items()}
    | _SHARED
)  # fmt: skip
NAMES = tuple(_PRIORS)
PRIOR_MEDIAN = np.array([median for median, _ in _PRIORS.values()])
PRIOR_SPREAD = np.array([spread for _, spread in _PRIORS.values()])
_COMPUTE_AT = np.array([NAMES.index(f"compute {c if c in _COMPUTE else 'conv'}") for c in CLASSES])
_RESULTS_AT = np.array([NAMES.index(f"results {'conv' if c in _DENSE else c}") for c in CLASSES])
_COUNTS = np.array([c in _COMPUTE for c in CLASSES])  # classes with multiply-accumulates


@dataclass(frozen=True, eq=False)
class Batch:
    """Many networks' operators as one table. mask: operators that count towards their row's total.

    One entry of `works` is one measured row; a network measured in parts is several.
    """

    works: tuple[OperatorWork, ...]
    grid: Grid
    masks: tuple[np.ndarray | None, ...] = ()

    @cached_property
    def row(self) -> np.ndarray:
        return np.repeat(np.arange(len(self.works)), [len(w.kind) for w in self.works])

    @cached_property
    def kind(self) -> np.ndarray:
        return np.concatenate([w.kind for w in self.works])

    @cached_property
    def columns(self) -> dict[str, np.ndarray]:
        table = np.concatenate([w.table for w in self.works])
        return {name: table[:, i] for i, name in enumerate(COLUMNS)}

    @cached_property
    def counted(self) -> np.ndarray:
        masks = self.masks or (None,) * len(self.works)
        return np.concatenate(
            [np.ones(len(w.kind)) if m is None else m for w, m in zip(self.works, masks, strict=True)]
        )

    @cached_property
    def rounded(self) -> tuple[np.ndarray, np.ndarray]:
        """Multiply-accumulates and elements made, with everything rounded up to the grid."""
        c, (reads, makes, plane) = self.columns, self.grid
        plane_ratio = np.where(_of(self.kind, "fully", "product"), 1, _up(c["height"], plane) * _up(c["width"], plane))
        cout_ratio = _up(c["cout"] / c["groups"], makes)
        channels = np.where(_of(self.kind, "pool", "reduce"), 1, cout_ratio)
        channels = np.where(_of(self.kind, "pool", "reduce", "depthwise"), channels, channels * _up(c["cin"], reads))
        macs = np.where(_COUNTS[self.kind], c["macs"] * plane_ratio * channels, 0)
        return macs, c["outputs"] * plane_ratio * np.where(_of(self.kind, "grouped"), cout_ratio, _up(c["cout"], makes))

    def totals(self, costs: np.ndarray) -> np.ndarray:
        """Costs per operator -> per row."""
        return np.bincount(self.row, costs * self.counted, minlength=len(self.works))


def costs(rates: np.ndarray, batch: Batch) -> np.ndarray:
    """Cost per operator, in multiply-accumulates; rates: natural logarithms, one per name in NAMES."""
    value = dict(zip(NAMES, np.exp(rates), strict=True))
    needs = _needs(rates, batch)
    p = 1 + value["overlap"]
    most = np.maximum.reduce(needs) + 1e-9  # scaled, or the powers overflow
    together = most * sum((need / most) ** p for need in needs) ** (1 / p)
    once = value["operator"] + value["group"] * (batch.columns["groups"] - 1)
    left = np.array([value.get(f"left of {name}", 1.0) for name in CLASSES])
    return (together + once) * left[batch.kind]


def bounds(rates: np.ndarray, batch: Batch) -> list[str]:
    """What holds every operator up, "compute" or "memory"."""
    compute, results, traffic, weights = _needs(rates, batch)
    return np.where(np.maximum(compute, results) >= np.maximum(traffic, weights), "compute", "memory").tolist()


def _needs(rates: np.ndarray, batch: Batch) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Compute, results, traffic, weights per operator."""
    value = dict(zip(NAMES, np.exp(rates), strict=True))
    c, kind = batch.columns, batch.kind
    macs, results = batch.rounded
    small = (1 + value["thin input"] / np.maximum(c["cin"], 1)) * (1 + value["thin output"] / np.maximum(c["cout"], 1))
    small *= 1 + value["small map"] / np.maximum(c["height"] * c["width"], 1)
    skipped = np.where(_of(kind, "depthwise"), value["strided depthwise"], value["strided"]) * (c["stride"] ** 2 - 1)
    small *= np.where(_of(kind, "stem", "conv", "grouped", "depthwise", "pointwise"), 1 + skipped, 1)
    far = 1 / (1 + (value["near capacity"] / np.maximum(c["live"], 1)) ** 3)
    return (
        macs * small * np.exp(rates)[_COMPUTE_AT][kind],
        results * np.exp(rates)[_RESULTS_AT][kind],
        (c["inputs"] + c["outputs"]) * (value["traffic"] + value["far traffic"] * far),
        c["weights"] * value["weights"],
    )


def _of(kind: np.ndarray, *names: str) -> np.ndarray:
    return np.isin(kind, [CLASSES.index(name) for name in names])


def _up(n: np.ndarray, multiple: int) -> np.ndarray:
    """How much more n becomes by rounding it up."""
    n = np.maximum(n, 1)
    return np.ceil(n / multiple) * multiple / n
