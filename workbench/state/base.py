"""What every state of a network starts from: a module with its weights, and its graph."""

import copy
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from torch import nn

from ..estimators import WeightValues, weight_values
from ..graph import Graph
from .untrained import is_untrained
from .weight_source import WeightSource
from .weights import tensors_of, weights_of
from .width_rules import WidthRules

__all__ = ["Base", "Size"]

Size = tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class Base:
    """A model as it was opened. The module is a copy of the user's, in eval mode, and is never edited.

    name: timm name, or the class name of a custom module. input_size: (channels, height, width).
    example_inputs: the arguments that the module was traced with, batch 1; None where it reads one image of input_size.
    width_rules: of the classes in it whose code holds widths as numbers, beside those surgery knows.
    weights: "initial" (as timm creates them, from seed 0), "pretrained", "checkpoint" or "given" (a custom module's).
    source: the file that pretrained weights, or a checkpoint's, were read from.
    """

    name: str
    custom: bool
    input_size: Size | None
    module: nn.Module = field(repr=False)
    graph: Graph = field(repr=False)
    weights: str = "initial"
    example_inputs: tuple[Any, ...] | None = field(default=None, repr=False)
    classes: int | None = None  # of the head that was asked for; None: timm's own
    head: str = "classification"  # or the name of the task head that stands on the backbone
    source: WeightSource | None = None
    width_rules: WidthRules = field(default_factory=dict, repr=False)

    def copy(self) -> nn.Module:
        return copy.deepcopy(self.module)

    @property
    def weights_source(self) -> str:
        """Where the weights come from, in words."""
        return self.weights if self.source is None else f"{self.weights}: {self.source}"

    @cached_property
    def untrained(self) -> bool:
        """Whether the weights are those the model was created with, and mean nothing."""
        return self.weights == "initial" or (self.weights == "given" and is_untrained(self.module))

    @cached_property
    def weight_values(self) -> WeightValues:
        """How the weights are distributed; unknown where they are initial, as compilers get random ones."""
        return weight_values(self.graph, None if self.weights == "initial" else weights_of(tensors_of(self.module)))
