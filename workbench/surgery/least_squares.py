"""Least squares from normal equations, streamed, with the ridge chosen on rows held out.

    X   [rows, features]   Z = X - mean(X)      T   [rows, targets]
    (Z'Z + r n s I) (W - V) = Z'(T - Z V),   b = mean(T) - mean(X) W,   s = mean variance of a feature, n = rows

V is zero or, where approximate weights are given, these, each target's scaled by the factor that fits best.

All sums in float64. Without a ridge a wide block with few calibration rows is worse than predicting the mean. Of
`RIDGES` and the two V those are taken that have the smallest error on the held-out rows; the final fit takes all rows.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor

__all__ = ["RIDGES", "Regression", "Scaling"]

RIDGES = (1e-6, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
_FALLBACK = 1e-2  # where nothing was held out
_JUDGED = 64  # this many targets are enough to judge a ridge


@dataclass
class _Sums:
    gram: Tensor  # [features + 1, features + 1], the last one constant 1
    cross: Tensor  # [features + 1, targets]

    def __add__(self, other: "_Sums") -> "_Sums":
        return _Sums(self.gram + other.gram, self.cross + other.cross)

    @property
    def rows(self) -> Tensor:
        return self.gram[-1, -1]

    @property
    def mean(self) -> Tensor:
        return self.gram[-1, :-1] / self.rows

    @property
    def scatter(self) -> Tensor:
        return self.gram[:-1, :-1] - torch.outer(self.mean, self.mean) * self.rows

    def every(self, step: int) -> "_Sums":
        """The sums for every `step`-th target."""
        return _Sums(self.gram, self.cross[:, ::step])

    def factor(self, ridge: float) -> Tensor:
        """The Cholesky factor of the left-hand side."""
        scatter = self.scatter
        scale = scatter.diagonal().mean().clamp_min(torch.finfo(scatter.dtype).tiny)
        damped = scatter + torch.eye(len(scatter), dtype=scatter.dtype, device=scatter.device) * ridge * scale
        return torch.linalg.cholesky(damped)

    def solve(self, factor: Tensor, near: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Weights [features, targets], intercepts [targets]; near: V without its factors, None is zero."""
        cross = self.cross[:-1] - torch.outer(self.mean, self.cross[-1])
        start = torch.zeros_like(cross)
        if near is not None:
            product = self.scatter @ near
            size = (near * product).sum(0)
            gain = torch.where(size > 0, (near * cross).sum(0) / size, 0)
            start, cross = near * gain, cross - product * gain
        weight = start + torch.cholesky_solve(cross, factor)
        return weight, self.cross[-1] / self.rows - self.mean @ weight

    def error(self, weight: Tensor, bias: Tensor) -> float:
        """Squared error up to a constant that does not depend on the solution."""
        whole = torch.cat([weight, bias[None]])
        return float((whole * (self.gram @ whole - 2 * self.cross)).sum())


@dataclass
class Regression:
    """Sums over what was added so far.

    near: approximate weights [features, targets], each target's right but for a factor; they matter where rows are few.

    >>> x = torch.arange(8.0)[:, None]
    >>> fit = Regression()
    >>> fit.add(x[::2], 3 * x[::2] + 1)
    >>> fit.add(x[1::2], 3 * x[1::2] + 1, held_out=True)
    >>> weight, bias = fit.solve()
    >>> round(float(weight), 3), round(float(bias), 3)
    (3.0, 1.0)
    """

    near: Tensor | None = None
    _sums: dict[bool, _Sums] = field(default_factory=dict)

    def add(self, features: Tensor, targets: Tensor, held_out: bool = False) -> None:
        """Rows of features and targets; held_out: they judge the ridge."""
        x = torch.cat([features, torch.ones_like(features[:, :1])], 1).double()
        sums = _Sums(x.T @ x, x.T @ targets.double())
        self._sums[held_out] = self._sums[held_out] + sums if held_out in self._sums else sums

    def solve(self) -> tuple[Tensor, Tensor]:
        """Weights [features, targets] and intercepts [targets] of all rows, float64."""
        starts = [None] if self.near is None else [None, self.near.double()]
        ridge, start = _FALLBACK, starts[-1]
        if len(self._sums) == 2:
            step = -(-self._sums[True].cross.shape[1] // _JUDGED)
            judge, fitted = self._sums[True].every(step), self._sums[False].every(step)
            least = torch.inf
            for r in RIDGES:
                factor = fitted.factor(r)
                for v in starts:
                    error = judge.error(*fitted.solve(factor, None if v is None else v[:, ::step]))
                    if error < least:
                        least, ridge, start = error, r, v
        return self._all.solve(self._all.factor(ridge), start)

    def moments(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance of features @ weight over all rows."""
        sums = self._all
        return sums.mean @ weight, (weight * (sums.scatter @ weight)).sum(0).clamp_min(0) / sums.rows

    @property
    def _all(self) -> _Sums:
        first, *rest = self._sums.values()
        return first + rest[0] if rest else first


@dataclass
class Scaling:
    """A factor and an intercept for each target, where there are too many features for weights of their own.

    near: weights [features, targets] that are right but for these.

    >>> x = torch.arange(8.0)[:, None]
    >>> fit = Scaling(torch.tensor([[2.0]]))
    >>> fit.add(x, 3 * x + 1)
    >>> weight, bias = fit.solve()
    >>> float(weight), float(bias)
    (3.0, 1.0)
    """

    near: Tensor
    _outputs: list[Tensor] = field(default_factory=list)
    _targets: list[Tensor] = field(default_factory=list)

    def add(self, features: Tensor, targets: Tensor, held_out: bool = False) -> None:
        """Rows of features and targets; none need be held out."""
        self._outputs.append(features @ self.near)
        self._targets.append(targets)

    def solve(self) -> tuple[Tensor, Tensor]:
        """Weights [features, targets] and intercepts [targets] of all rows, float64."""
        z, t = torch.cat(self._outputs).double(), torch.cat(self._targets).double()
        spread = z.var(0, correction=0)
        gain = torch.where(spread > 0, ((z - z.mean(0)) * (t - t.mean(0))).mean(0) / spread, 0)
        return self.near.double() * gain, t.mean(0) - gain * z.mean(0)

    def moments(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance of features @ weight over all rows, for a weight that `solve` gave."""
        z = torch.cat(self._outputs).double()
        near = self.near.double()
        size = (near * near).sum(0)
        gain = torch.where(size > 0, (near * weight).sum(0) / size, 0)
        return z.mean(0) * gain, z.var(0, correction=0) * gain**2
