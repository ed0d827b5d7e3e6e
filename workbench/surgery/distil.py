"""Blockwise distillation: a replaced block learns to do what the original's did, from images alone.

    x~   [N, C, H, W]   what reaches the block in the network edited so far
    y    [N, D, h, w]   what the original network's block makes of the same images
    B    the new block, its norms with fixed statistics

    minimise  mean ||B(x~) - y||^2   by Adam (Kingma and Ba 2015), for one block after the other

so each block also mends what the blocks before it got wrong (the layerwise reconstruction of He et al. 2017, Channel
pruning, section 3.2, with all of a block's parameters instead of one layer's). Each parameter's rate is a share of its
own root mean square, cosine-annealed to zero: one number suits kernels and scales of any size. Every fourth pair of
images is held out (an image and its mirror image, as `build` gives them); what is kept is the state with the smallest
error on those, the start among them, so distillation never makes a block worse there.
"""

import copy
from collections.abc import Iterator
from math import cos, pi

import torch
from torch import Tensor, nn

from ..graph.trace import evaluating
from ..progress import Progress
from .activations import capture

__all__ = ["distil", "held_out", "imitate"]


_RATE = 0.01  # of a parameter's root mean square, at the start
_BATCH = 16  # images a step
_CHUNK = 16  # images at a time elsewhere
_HELD_OUT = 4  # every fourth pair of images
_CHECKS = 10  # how often the error on the held-out images is computed


def distil(
    model: nn.Module,
    reference: nn.Module,
    block: str,
    images: Tensor,
    steps: int,
    progress: Progress | None = None,
) -> float:
    """Train the module at `block` of `model`, in place, towards the one of `reference`; the rest stays as it is.

    images: [N, C, H, W], without labels; at least two. steps: of Adam, 16 images each. The same call gives the same
    bits on the same machine. Returns the squared error on held-out images as a share of what it was at the start.
    """
    reads, makes = _activations(model, reference, block, images)
    return imitate(model.get_submodule(block), reads, makes, steps, block, progress)


@torch.no_grad()
def imitate(
    student: nn.Module, reads: Tensor, makes: Tensor, steps: int, name: str = "", progress: Progress | None = None
) -> float:
    """Train a module, in place, to make these maps [N, D, h, w] of what it reads [N, C, H, W]; norms keep theirs.

    Steps, images and what is returned are as for `distil`; name: of the module, for progress.
    """
    held = held_out(len(reads))
    judge, fitted = (reads[held], makes[held]), (reads[~held], makes[~held])
    flags = [p.requires_grad for p in student.parameters()]
    with evaluating(student):
        student.requires_grad_(True)
        groups = [{"params": [p], "lr": _RATE * _size(p)} for p in student.parameters()]
        adam = torch.optim.Adam(groups, betas=(0.9, 0.99))
        last = max(1, steps)
        annealed = torch.optim.lr_scheduler.LambdaLR(adam, lambda step: (1 + cos(pi * min(1, step / last))) / 2)
        first = least = _error(student, *judge)
        best = copy.deepcopy(student.state_dict())
        for step, rows in enumerate(_batches(len(fitted[0]), steps), 1):
            with torch.enable_grad():
                loss = (student(fitted[0][rows]) - fitted[1][rows]).square().mean()
                adam.zero_grad()
                loss.backward()
            adam.step()
            annealed.step()
            if step % max(1, steps // _CHECKS) == 0 or step == steps:
                error = _error(student, *judge)
                if error < least:
                    least, best = error, copy.deepcopy(student.state_dict())
                if progress is not None:
                    progress(name, step, steps)
        student.load_state_dict(best)
    for parameter, flag in zip(student.parameters(), flags, strict=True):
        parameter.requires_grad_(flag)
        parameter.grad = None
    return least / first if first > 0 else 1.0


def held_out(count: int) -> Tensor:
    """Which of so many images are held out, bool [count]: every fourth pair; of fewer than eight the second half."""
    held = torch.arange(count) // 2 % _HELD_OUT == _HELD_OUT - 1
    if not held.any():
        held[count // 2 :] = True
    return held


def _activations(model: nn.Module, reference: nn.Module, block: str, images: Tensor) -> tuple[Tensor, Tensor]:
    """What the block reads in `model`, and what it makes in `reference`."""
    reads, makes = [], []
    for part in images.split(_CHUNK):
        reads.append(capture(model, part, {"x": (block, "input")})["x"])
        makes.append(capture(reference, part, {"y": (block, "output")})["y"])
    return torch.cat(reads), torch.cat(makes)


def _size(parameter: Tensor) -> float:
    """Root mean square, of a vector's entries at least a tenth: biases may start at zero."""
    size = float(parameter.detach().square().mean().sqrt())
    return size if parameter.dim() > 1 and size > 0 else max(size, 0.1)


def _batches(images: int, steps: int) -> Iterator[Tensor]:
    generator = torch.Generator().manual_seed(0)
    done = 0
    while done < steps:
        for rows in torch.randperm(images, generator=generator).split(_BATCH):
            if done < steps and (len(rows) == min(_BATCH, images) or images < 2 * _BATCH):
                yield rows
                done += 1


@torch.no_grad()
def _error(student: nn.Module, reads: Tensor, makes: Tensor) -> float:
    parts = zip(reads.split(_CHUNK), makes.split(_CHUNK), strict=True)
    return sum(float((student(x) - y).double().square().sum()) for x, y in parts)
