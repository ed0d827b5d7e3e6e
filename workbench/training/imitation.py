"""A task learned from a teacher, by its outputs and by the maps that its blocks make.

    y_k   [n, C_k, h, w]   what block k of the teacher makes      z_k   [n, c_k, h, w]   what the learner's block makes
    B_k   [c_k, C_k]       which directions of y_k the narrower z_k stands for; none where both have the same channels

    distance = the task's own between both outputs + weight * mean over k of |z_k - B_k y_k|^2 / |B_k y_k - m_k|^2

with m_k the mean of B_k y_k over pictures and positions, so that a block that makes nothing but the mean counts 1
(hints, Romero et al. 2015, FitNets; the bases take the place of learned regressors).

The pictures of a batch are mixed, each with up to as much of another one as of itself: the teacher answers whatever it
is shown, and answers mixtures with less certainty than pictures it has learned by heart (Beyer et al. 2022, Knowledge
distillation: A good teacher is patient and consistent). Batch norms of the learner keep their statistics, as in
`surgery/distil.py`: it starts as what it is, and mixtures have other statistics than pictures.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .derived import Derived

__all__ = ["Imitation", "Point", "Watched"]

_LOOP = 2  # part of the digest: another distance is another training


@dataclass(frozen=True, eq=False)
class Point:
    """path: of a module. basis: float32 [c, C] that its map is turned by; None leaves it as it is."""

    path: str
    basis: Tensor | None = None


class Answer(NamedTuple):
    """outputs: of a network. maps: of its points, in their order."""

    outputs: Any
    maps: tuple[Tensor, ...]

    def float(self) -> "Answer":
        """The same in float32, as a tensor's method of this name."""
        return Answer(self.outputs.float(), tuple(made.float() for made in self.maps))


class Watched(nn.Module):
    """A network that hands out maps beside its outputs: while it learns, or always, as a teacher does.

    size: (height, width) that the network reads; pictures of another size are resized to it.
    """

    def __init__(
        self, network: nn.Module, points: Sequence[Point], size: tuple[int, int] | None = None, always: bool = False
    ) -> None:
        super().__init__()
        self.network = network
        self.paths = tuple(point.path for point in points)
        self.size, self.always = size, always
        for i, point in enumerate(points):
            self.register_buffer(f"basis_{i}", point.basis)
        config = getattr(network, "pretrained_cfg", None)
        self.pretrained_cfg = config or getattr(getattr(network, "backbone", None), "pretrained_cfg", None)

    def train(self, mode: bool = True) -> "Watched":
        """As of every module, but batch norms keep their statistics."""
        super().train(mode)
        for module in self.network.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.track_running_stats:
                module.eval()
        return self

    def forward(self, x: Tensor) -> Any:
        """The network's outputs, or an `Answer`."""
        if self.size is not None and tuple(x.shape[2:]) != self.size:
            x = F.interpolate(x, size=self.size, mode="bilinear", antialias=True)
        if not (self.training or self.always):
            return self.network(x)
        maps: dict[str, Tensor] = {}
        hooks = [
            self.network.get_submodule(path).register_forward_hook(
                lambda _, args, output, path=path: maps.__setitem__(path, output.clone())
            )
            for path in self.paths
        ]
        try:
            outputs = self.network(x)
        finally:
            for hook in hooks:
                hook.remove()
        return Answer(outputs, tuple(self._turned(i, maps[path]) for i, path in enumerate(self.paths)))

    def _turned(self, number: int, made: Tensor) -> Tensor:
        basis = getattr(self, f"basis_{number}")
        return made if basis is None else torch.einsum("kc,nchw->nkhw", basis.to(made), made)


@dataclass(frozen=True)
class Imitation(Derived):
    """The task, for `Watched` networks. weight: of the maps beside the outputs."""

    weight: float = 0.3

    @property
    def digest(self) -> str:
        return f"{self.task.digest}-imitation-{_LOOP}-{self.weight:g}"

    def varied(self, images: Tensor, targets: Any, generator: torch.Generator) -> tuple[Tensor, Any]:
        """Varied as the task does it, then mixed; the targets stay those of the larger part."""
        images, targets = self.task.varied(images, targets, generator)
        return _mixed(images, generator), targets

    def losses(self, outputs: Any, targets: Any) -> Tensor:
        return self.task.losses(_outputs(outputs), targets)

    def check(self, outputs: Any, name: str) -> None:
        self.task.check(_outputs(outputs), name)

    def loss(self, outputs: Any, targets: Any) -> Tensor:
        return self.task.loss(_outputs(outputs), targets)

    def distance(self, outputs: Any, teacher: Any) -> Tensor:
        distance = self.task.distance(_outputs(outputs), _outputs(teacher))
        pairs = list(zip(outputs.maps, teacher.maps, strict=True))
        if not pairs or not self.weight:
            return distance
        return distance + self.weight * torch.stack([_error(z, y) for z, y in pairs]).mean()


def _mixed(images: Tensor, generator: torch.Generator) -> Tensor:
    """Pictures uint8 [n, 3, h, w], each with a share of up to a half of another one."""
    others = images[torch.randperm(len(images), generator=generator)]
    share = torch.rand(len(images), 1, 1, 1, generator=generator) / 2
    return torch.lerp(images.float(), others.float(), share).round_().to(images.dtype)


def _outputs(outputs: Any) -> Any:
    return outputs.outputs if isinstance(outputs, Answer) else outputs


def _error(made: Tensor, target: Tensor) -> Tensor:
    """Squared error over the target's variance."""
    if made.shape[2:] != target.shape[2:]:
        target = F.interpolate(target, size=made.shape[2:], mode="bilinear", antialias=True)
    spread = (target - target.mean((0, 2, 3), keepdim=True)).square().mean()
    return (made - target).square().mean() / spread.clamp_min(1e-12)
