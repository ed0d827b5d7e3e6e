"""Weights of a file put on a network whose head may be another one: the head starts anew, all else must fit."""

from collections.abc import Collection, Mapping, Sequence

import torch
from torch import nn

from ..errors import FileFormatError
from .weights import check_tensors, tensors_of

__all__ = ["Exceptions", "carry", "classifier_of", "outermost"]

Exceptions = tuple[tuple[str, ...], tuple[str, ...]]  # modules left out of the file, modules that start anew


def carry(
    module: nn.Module,
    tensors: Mapping[str, torch.Tensor],
    source: str,
    name: str,
    heads: Sequence[tuple[str, ...]] = (),
) -> Exceptions:
    """Load a file's tensors into a module, which is changed; all of them, or all but a head that does not fit.

    heads: what may start anew, each the paths of some modules, the smallest first. source, name: of the file and of the
    network, for errors. Raises FileFormatError naming the first tensor outside the largest head that does not fit.
    """
    own = tensors_of(module)
    for head in ((), *heads):
        body = {key: value for key, value in tensors.items() if not _within(key, head)}
        try:
            check_tensors({key: value for key, value in own.items() if not _within(key, head)}, body, source, name)
        except FileFormatError:
            if head == (heads[-1] if heads else ()):
                raise
            continue
        module.load_state_dict(body, strict=False)
        left_out = tuple(path for path in head if any(_within(key, (path,)) for key in tensors))
        anew = tuple(path for path in head if any(_within(key, (path,)) for key in own))
        return left_out, anew
    raise AssertionError("the largest head either fits or is refused")


def classifier_of(module: nn.Module) -> tuple[str, ...]:
    """The paths of a timm model's classifier; none where the module does not say."""
    config = getattr(module, "pretrained_cfg", None)
    paths = config.get("classifier") if isinstance(config, Mapping) else None
    return (paths,) if isinstance(paths, str) else tuple(paths or ())


def outermost(keys: Collection[str], kept: Collection[str]) -> tuple[str, ...]:
    """The outermost modules (or tensors) that hold some of the keys and none of those kept, in the order of the keys.

    >>> outermost(["head.conv.weight", "head.conv.bias", "fc.weight"], ["stem.weight", "fc.bias"])
    ('head', 'fc.weight')
    """
    inside = {".".join(key.split(".")[:depth]) for key in kept for depth in range(1, key.count(".") + 2)}
    paths = []
    for key in keys:
        parts = key.split(".")
        prefixes = (".".join(parts[:depth]) for depth in range(1, len(parts) + 1))
        paths.append(next(prefix for prefix in prefixes if prefix not in inside))
    return tuple(dict.fromkeys(paths))


def _within(key: str, paths: Sequence[str]) -> bool:
    return any(key == path or key.startswith(f"{path}.") for path in paths)
