"""What carrying an edit out on a module needs beside the edit."""

from dataclasses import dataclass

from torch import Tensor, nn

from ..graph import Graph
from ..state import WidthRules

__all__ = ["Site"]


@dataclass(frozen=True)
class Site:
    """A module in the middle of being edited, and what new weights are fitted to.

    model: edited in place. graph: of the model before the edit. after: of the model behind the edit. images:
    calibration images [N, C, H, W], or what a module inside the network reads of them; None fits nothing. reference:
    the model whose activations new weights are fitted to. width_rules: of classes whose code holds widths.
    """

    model: nn.Module
    graph: Graph
    after: Graph
    images: Tensor | None
    reference: nn.Module
    width_rules: WidthRules
