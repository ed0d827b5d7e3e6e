"""Narrowed widths that keep what the layers behind them need, from images alone.

    x     what a layer reads of a segment, C channels; mu, S its mean and covariance over images and positions
    W     [O K, C]   that layer's weights, a row for each of its outputs and kernel positions, each row times the gain
                     of the batch norm behind it: errors count in the unit the next activation sees
    K, R  the channels that stay, and those that go

Segments whose channels are only added and summed over (the linear bottlenecks of inverted residuals) get another basis
first, which changes nothing: with M the sum of W'W over the layers that read the segment, S the mean of theirs, and the
eigenvectors U of M^1/2 S M^1/2, eigenvalues falling,

    x' = Q U' M^1/2 x        W' = W M^-1/2 U Q'

so the first channels of x' are those from which the readers' sums are rebuilt with the least squared error, and the
others are cut (principal components as in Ashkboos et al. 2024, SliceGPT, weighted by what reads them). Q is any
orthogonal matrix within the first channels: a seeded one, which spreads the variance evenly over them, as fixed-point
codes with one scale for all channels need.

Elsewhere channels stay as they are, and those go, one after the other, without which the readers lose least when all
others are refitted (Hassibi and Stork 1993, Optimal brain surgeon, for whole channels): with P = S^-1 over the channels
left and V the weights so far, channel j costs |V_j|^2 / P_jj, and

    V <- V - V_j P_j / P_jj      P <- P - P_j P_j' / P_jj

In the end V is the least-squares refit of the readers on the channels that stay (He et al. 2017, Channel pruning):
W_K + W_R S_RK S_KK^-1.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from ..graph import Graph, Op, Resize
from ..graph.kinds import PLAIN_LAYERS
from ..graph.trace import evaluating
from .activations import observed
from .dense_weights import affine
from .modules import get_parameter, set_parameter

__all__ = ["Reconstruction", "reconstruct"]

_CHUNK = 32  # images at a time
_ROWS = 48  # positions a channel are plenty for a covariance
_FEWEST_ROWS = 8192
_RIDGE = 1e-4  # of the mean variance
_LINEAR = frozenset(("batch_norm", "add"))  # what may stand between a layer and the layers that read its channels


@dataclass(frozen=True)
class Reconstruction:
    """edits: with the channels that stay by number. bases: segment -> [C, C], x' = basis x, of those that got one."""

    edits: tuple[Resize, ...]
    bases: Mapping[str, Tensor]


@torch.no_grad()
def reconstruct(model: nn.Module, graph: Graph, edits: Sequence[Resize], images: Tensor) -> Reconstruction:
    """Prepare `model`, in place, for narrowing: new bases, readers refitted on the channels that stay.

    graph: of the model, before the edits. edits: of widths that shrink, those whose `keep` leaves the choice to the
    magnitude of weights are treated; segments that stand in one tensor with others, or that anything but a plain layer
    sums over, keep the edit as it is. images: [N, C, H, W].
    """
    segments = graph.channels.segments
    chosen = [edit for edit in edits if edit.keep == "importance" and edit.width < segments[edit.segment].width]
    readers = {edit.segment: _readers(graph, edit.segment) for edit in chosen}
    rotated = {edit.segment: edit.width for edit in chosen if readers[edit.segment] and _is_linear(graph, edit.segment)}
    bases = _rotate(model, graph, rotated, readers, images) if rotated else {}
    plain = {e.segment: e.width for e in chosen if readers[e.segment] and e.segment not in bases}
    kept = {name: tuple(range(rotated[name])) for name in bases}
    kept |= _eliminate(model, graph, plain, readers, images) if plain else {}
    explicit = tuple(replace(edit, keep=kept[edit.segment]) if edit.segment in kept else edit for edit in edits)
    return Reconstruction(explicit, bases)


# ---- which layers ------------------------------------------------------------------------------------------------


def _readers(graph: Graph, segment: str) -> tuple[Op, ...]:
    """The layers that sum over the segment; none where it does not stand alone or something else sums over it."""
    layout = graph.channels.layout
    carriers = [op for op in graph.ops if op.name in layout and segment in layout[op.name].segments]
    if any(layout[op.name].segments != (segment,) or layout[op.name].repeat != 1 for op in carriers):
        return ()
    names = {op.name for op in carriers}
    users = {user.name: user for op in carriers for user in graph.consumers[op.name] if user.name not in names}
    plain = all(op.kind in PLAIN_LAYERS and not op.is_depthwise and op.get("groups", 1) == 1 for op in users.values())
    ends = any(op.name in graph.outputs for op in carriers)
    chunks = graph.channels.segments[segment].chunks
    return tuple(users.values()) if plain and not ends and chunks == 1 else ()


def _makers(graph: Graph, segment: str) -> tuple[Op, ...]:
    layout = graph.channels.layout
    return tuple(
        op
        for op in graph.ops
        if op.kind == "conv2d" and op.name in layout and layout[op.name].segments == (segment,) and not op.is_depthwise
    )


def _is_linear(graph: Graph, segment: str) -> bool:
    """Whether nothing but batch norms right behind dense convolutions, and additions, stands in the segment."""
    layout = graph.channels.layout
    makers = {op.name for op in _makers(graph, segment)}
    for op in graph.ops:
        if op.name not in layout or segment not in layout[op.name].segments:
            continue
        behind = op.kind == "batch_norm" and op.inputs[0] in makers and len(graph.consumers[op.inputs[0]]) == 1
        added = op.kind == "add" and all(i in layout and layout[i].segments == (segment,) for i in op.inputs)
        maker = op.name in makers and op["groups"] == 1
        if not (maker or behind or (added and len(op.inputs) == 2)):
            return False
    return bool(makers)


def _norm_behind(graph: Graph, op: Op) -> Op | None:
    users = graph.consumers[op.name]
    return users[0] if len(users) == 1 and users[0].kind == "batch_norm" else None


# ---- what they read ----------------------------------------------------------------------------------------------


@dataclass
class _Moments:
    """Sums over rows [rows, C], in float64."""

    rows: int = 0
    total: Tensor = field(default_factory=lambda: torch.zeros(()))
    outer: Tensor = field(default_factory=lambda: torch.zeros(()))

    def add(self, rows: Tensor) -> None:
        self.rows += len(rows)
        self.total = self.total.to(rows.device) + rows.double().sum(0)
        self.outer = self.outer.to(rows.device) + (rows.T @ rows).double()

    @property
    def mean(self) -> Tensor:
        return self.total / self.rows

    @property
    def covariance(self) -> Tensor:
        return self.outer / self.rows - torch.outer(self.mean, self.mean)


def _moments(model: nn.Module, points: Mapping[str, tuple[str, str]], images: Tensor) -> dict[str, _Moments]:
    """Point -> moments of the channels that a module reads ("input") or makes ("output"), in one pass a few images."""
    moments = {name: _Moments() for name in points}
    generator = torch.Generator().manual_seed(0)

    def keep(name: str, value: Tensor) -> None:
        x = value.detach()
        rows = x.movedim(1, -1).flatten(0, -2) if x.dim() > 2 else x
        wanted = max(_ROWS * rows.shape[1], _FEWEST_ROWS) * len(x) // len(images)
        if wanted < len(rows):
            rows = rows[torch.randperm(len(rows), generator=generator)[:wanted].to(rows.device)]
        moments[name].add(rows.float())

    with observed(model, points, keep), evaluating(model):
        for part in images.split(_CHUNK):
            model(part)
    return moments


def _rows(model: nn.Module, graph: Graph, reader: Op) -> Tensor:
    """[O K, C], float64: the reader's weights, each output times the gain of the batch norm behind it."""
    weight = _weight(model, reader).double()
    norm = _norm_behind(graph, reader)
    gain = torch.ones(len(weight), dtype=torch.float64, device=weight.device)
    if norm is not None:
        gain = affine(model.get_submodule(norm.module))[0].double().abs()
    scaled = weight * gain.reshape([-1] + [1] * (weight.dim() - 1))
    return scaled.movedim(1, -1).flatten(0, -2)


def _weight(model: nn.Module, op: Op) -> Tensor:
    param = op.param("weight")
    assert param is not None
    weight = get_parameter(model, param.name)
    assert weight is not None
    return weight.detach()


# ---- other bases -------------------------------------------------------------------------------------------------


def _rotate(
    model: nn.Module, graph: Graph, widths: Mapping[str, int], readers: Mapping[str, tuple[Op, ...]], images: Tensor
) -> dict[str, Tensor]:
    """Give the segments another basis, in place; the model's function stays. Returns segment -> basis [C, C]."""
    points = {f"{r.module} reads": (r.module, "input") for name in widths for r in readers[name]}
    makers = {name: _makers(graph, name) for name in widths}
    norms = {op.name: _norm_behind(graph, op) for name in widths for op in makers[name]}
    points |= {op.module: (op.module, "output") for ops in makers.values() for op in ops}
    moments = _moments(model, points, images)
    bases: dict[str, Tensor] = {}
    for name, width in widths.items():
        needs = sum((rows.T @ rows for rows in (_rows(model, graph, r) for r in readers[name])), torch.zeros(()))
        spread = sum((moments[f"{r.module} reads"].covariance for r in readers[name]), torch.zeros(()))
        basis = _basis(needs, spread / len(readers[name]), width)
        inverse = torch.linalg.inv(basis)
        for op in makers[name]:
            norm = norms[op.name]
            _rotate_maker(model, op, None if norm is None else norm.module, basis, moments[op.module])
        for reader in readers[name]:
            param = reader.param("weight")
            assert param is not None
            weight = _weight(model, reader)
            turned = torch.einsum("oi...,ij->oj...", weight.double(), inverse).to(weight)
            set_parameter(model, param.name, turned)
        bases[name] = basis
    return bases


def _basis(needs: Tensor, spread: Tensor, width: int) -> Tensor:
    """[C, C]: Q U' M^1/2, scaled so that its rows are as long as unit vectors on average; M is `needs`."""
    count = len(needs)
    eye = torch.eye(count, dtype=needs.dtype, device=needs.device)
    values, vectors = torch.linalg.eigh(needs + _RIDGE * needs.diagonal().mean() * eye)
    root = vectors * values.sqrt() @ vectors.T
    _, principal = torch.linalg.eigh(root @ spread @ root)
    basis = principal.flip(1).T @ root
    generator = torch.Generator().manual_seed(0)
    mixed, _ = torch.linalg.qr(torch.randn(width, width, generator=generator, dtype=torch.float64))
    basis = torch.cat([mixed.to(basis) @ basis[:width], basis[width:]])
    return basis / basis[:width].square().sum(1).mean().sqrt()


def _rotate_maker(model: nn.Module, op: Op, norm_path: str | None, basis: Tensor, made: _Moments) -> None:
    """Bring what a convolution and its norm make into the basis; the norm gets the statistics of what it then reads."""
    conv: Any = model.get_submodule(op.module)
    weight = conv.weight.detach().double()
    bias = torch.zeros(len(weight), dtype=torch.float64) if conv.bias is None else conv.bias.detach().double()
    if norm_path is None:
        conv.weight.copy_(torch.einsum("po,o...->p...", basis, weight))
        if conv.bias is not None:
            conv.bias.copy_(basis @ bias)
        return
    norm: Any = model.get_submodule(norm_path)
    gain, shift = (value.double() for value in affine(norm))
    conv.weight.copy_(torch.einsum("po,o...->p...", basis * gain, weight))
    if conv.bias is not None:
        conv.bias.zero_()
    turned = basis * gain
    mean = turned @ (made.mean - bias)
    var = ((turned @ made.covariance) * turned).sum(1).clamp_min(0)
    norm.running_mean.copy_(mean)
    norm.running_var.copy_(var)
    norm.weight.copy_((var + norm.eps).sqrt())
    norm.bias.copy_(mean + basis @ (shift + gain * bias))


# ---- channels that stay ------------------------------------------------------------------------------------------


def _eliminate(
    model: nn.Module, graph: Graph, widths: Mapping[str, int], readers: Mapping[str, tuple[Op, ...]], images: Tensor
) -> dict[str, tuple[int, ...]]:
    """Choose the channels that stay and refit their readers, in place. Returns segment -> numbers, ascending."""
    points = {r.module: (r.module, "input") for name in widths for r in readers[name]}
    moments = _moments(model, points, images)
    kept: dict[str, tuple[int, ...]] = {}
    for name, width in widths.items():
        spreads = [_damped(moments[reader.module]) for reader in readers[name]]
        weights = [_rows(model, graph, reader) for reader in readers[name]]
        stay = kept[name] = _survivors(weights, spreads, width)
        for reader, spread in zip(readers[name], spreads, strict=True):
            _refit(model, graph, reader, spread, moments[reader.module].mean, stay)
    return kept


def _damped(moments: _Moments) -> Tensor:
    """The covariance with a ridge, the larger the fewer rows it is of."""
    spread = moments.covariance
    ridge = _RIDGE + 0.1 * len(spread) / moments.rows
    size = spread.diagonal().mean().clamp_min(torch.finfo(spread.dtype).tiny)
    return spread + ridge * size * torch.eye(len(spread), dtype=spread.dtype, device=spread.device)


def _survivors(weights: Sequence[Tensor], spreads: Sequence[Tensor], width: int) -> tuple[int, ...]:
    """The channels left when those that cost the readers least went one after the other."""
    inverses = [torch.linalg.inv(spread) for spread in spreads]
    current = [weight.clone() for weight in weights]
    count = len(spreads[0])
    stays = torch.ones(count, dtype=torch.bool, device=spreads[0].device)
    for _ in range(count - width):
        cost = torch.zeros(count, dtype=torch.float64, device=stays.device)
        for weight, inverse in zip(current, inverses, strict=True):
            cost += weight.square().sum(0) / inverse.diagonal().clamp_min(torch.finfo(torch.float64).tiny)
        j = int(cost.masked_fill(~stays, torch.inf).argmin())
        stays[j] = False
        for weight, inverse in zip(current, inverses, strict=True):
            row = inverse[j].clone()
            weight -= torch.outer(weight[:, j], row / row[j])
            inverse -= torch.outer(row, row / row[j])
    return tuple(stays.nonzero()[:, 0].tolist())


def _refit(model: nn.Module, graph: Graph, reader: Op, spread: Tensor, mean: Tensor, stay: Sequence[int]) -> None:
    """Let the channels that stay stand in for those that go: each of these is predicted from them, linearly."""
    param = reader.param("weight")
    assert param is not None
    inside = torch.zeros(len(spread), dtype=torch.bool, device=spread.device)
    inside[list(stay)] = True
    predicted = torch.linalg.solve(spread[inside][:, inside], spread[inside][:, ~inside])  # [kept, gone]
    weight = _weight(model, reader)
    wide = weight.double()
    gone, left = wide[:, ~inside], wide[:, inside]
    fitted = wide.clone()
    fitted[:, inside] = left + torch.einsum("og...,kg->ok...", gone, predicted)
    fitted[:, ~inside] = 0
    set_parameter(model, param.name, fitted.to(weight))
    missing = mean[~inside] - predicted.T @ mean[inside]
    _add_constant(model, graph, reader, (gone.flatten(2).sum(2) if gone.dim() > 2 else gone) @ missing)


def _add_constant(model: nn.Module, graph: Graph, reader: Op, constant: Tensor) -> None:
    """Make up for a constant [O] that the reader's sums lack: in its bias, or in the mean of the norm behind it."""
    norm = _norm_behind(graph, reader)
    bias = reader.param("bias")
    if norm is not None:
        running_mean = get_parameter(model, f"{norm.module}.running_mean")
        if running_mean is not None:  # else the norm takes each batch's own mean
            running_mean.sub_(constant.to(running_mean))
    elif bias is not None and (current := get_parameter(model, bias.name)) is not None:
        set_parameter(model, bias.name, (current.detach().double() + constant).to(current))
