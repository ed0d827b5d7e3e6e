"""RemoveModule: modules taken out, identities in their places."""

from collections.abc import Iterable, Set
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import SurgeryError
from ..graph import Graph, RemoveModule
from ..graph.paths import is_inside
from .gate_means import fold_gate
from .modules import replace_module, takes_one_argument
from .site import Site

__all__ = ["check_emptied", "empty", "outermost", "remove_module"]


@torch.no_grad()
def remove_module(site: Site, edit: RemoveModule) -> None:
    """Put an identity in the place of the module; with images the mean of a gate goes into a layer beside it."""
    check_emptied(site.graph, set(edit.ops), [edit.module])
    if edit.init == "least-squares" and site.images is not None:
        fold_gate(site.model, site.graph, edit, site.images)
    empty(site.model, [edit.module])


def check_emptied(graph: Graph, removed: Set[str], paths: Iterable[str]) -> None:
    """Refuse to take out modules that hold other operators than those removed."""
    for path in paths:
        left = next((op for op in graph.ops if op.name not in removed and is_inside(op.module, path)), None)
        if not path or left is not None:
            what = path or max(removed)
            raise SurgeryError(f"{what} cannot be taken out of the module's code: {left.name if left else 'it'} stays")


def empty(model: nn.Module, paths: Iterable[str]) -> None:
    """Identities in the places of modules."""
    for path in paths:
        replace_module(model, path, nn.Identity() if takes_one_argument(model.get_submodule(path)) else PassThrough())


class PassThrough(nn.Identity):
    """An identity for code that hands its block more than the feature map."""

    def forward(self, input: Tensor, *args: Any, **options: Any) -> Tensor:
        return input


def outermost(paths: Iterable[str]) -> list[str]:
    """Each path once, in their order, without those inside another one: a norm may hold its activation.

    >>> outermost(["conv", "bn", "bn.act", "conv"])
    ['conv', 'bn']
    """
    distinct = list(dict.fromkeys(paths))
    return [path for path in distinct if not any(path.startswith(f"{other}.") for other in distinct)]
