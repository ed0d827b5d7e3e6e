"""How the numbers in a class's code follow its widths: rules by class, for classes that the workbench does not know.

A graph shows the widths of layers, not the numbers that code slices, splits or groups by. Whoever knows the code says
which number follows which width:

    def ghost(block: wb.BlockWidths) -> dict[str, int]:
        return {"makes": block.makes}  # its forward ends with [:, :self.makes]

    wb.open(network, width_rules={Ghost: ghost})

A package registers the rules of its classes by the entry point group "workbench.width_rules", the class by its module
and name -> the rule:

    [project.entry-points."workbench.width_rules"]
    "my_package.layers.Ghost" = "my_package.widths:ghost"

Only the rules of classes that are in a network are loaded.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from torch import nn

from ..errors import InputError, WorkbenchError, first_line
from ..graph import Graph, Op

__all__ = ["GROUP", "BlockWidths", "WidthRule", "WidthRules", "width_rules_of"]

GROUP = "workbench.width_rules"


@dataclass(frozen=True)
class BlockWidths:
    """A module after an edit, for the rule of its class: its layers are resized, the numbers in its code are not.

    module: the module; `block.module.conv.out_channels` is the new width of its layer. path: in the network. ops: its
    operators and those of the modules inside it, as planned, in execution order. graph: the planned network.

    >>> import torch
    >>> import workbench as wb
    >>> class Ghost(nn.Module):
    ...     def __init__(self, reads, makes):
    ...         super().__init__()
    ...         self.makes, half = makes, (makes + 1) // 2
    ...         self.primary = nn.Conv2d(reads, half, 1)
    ...         self.cheap = nn.Conv2d(half, half, 3, padding=1, groups=half)
    ...     def forward(self, x):
    ...         x = self.primary(x)
    ...         return torch.cat([x, self.cheap(x)], 1)[:, : self.makes]
    >>> network = nn.Sequential(Ghost(3, 32), nn.ReLU(), Ghost(32, 64), nn.Conv2d(64, 10, 1)).eval()
    >>> rules = {Ghost: lambda block: {"makes": block.makes}}
    >>> session = wb.open(network, input_size=(3, 32, 32), width_rules=rules)
    >>> session.apply(wb.DepthMultiplier(0.5)).build()[2].makes
    32
    """

    module: Any
    path: str
    ops: tuple[Op, ...]
    graph: Graph

    @property
    def source(self) -> Op:
        """The operator that makes the first map the module reads."""
        names = {op.name for op in self.ops}
        return self.graph.by_name[next(name for op in self.ops for name in op.inputs if name not in names)]

    @property
    def reads(self) -> int:
        """Channels of the first map the module reads."""
        return self.source.shape[self._axis(self.source)]

    @property
    def makes(self) -> int:
        """Channels of the map the module makes."""
        return self.ops[-1].shape[self._axis(self.ops[-1])]

    @property
    def parts(self) -> tuple[int, ...]:
        """Channels of each part that the module's own code cuts maps into (slices, `split`, `chunk`), in order."""
        own = [op for op in self.ops if op.kind == "slice" and op.module == self.path]
        axes = [op["axis"] % len(op.shape) for op in own]
        return tuple(op.shape[axis] for op, axis in zip(own, axes, strict=True) if self._axis(op, axis) == axis)

    def _axis(self, op: Op, otherwise: int = 1) -> int:
        """The axis of the operator's channels; `otherwise` where they are not followed."""
        layout = self.graph.channels.layout.get(op.name)
        return layout.axis if layout is not None else otherwise


WidthRule = Callable[[BlockWidths], Mapping[str, Any]]  # attribute of the module -> what it holds after the edit
WidthRules = Mapping[type[nn.Module], WidthRule]


def width_rules_of(module: nn.Module, rules: WidthRules | None = None) -> WidthRules:
    """The rules of the classes that are in a network: those given, and those of other packages.

    Raises InputError for what is no rule of a class, or of a class the network does not have; WorkbenchError where the
    rule of a package cannot be loaded.
    """
    classes = {cls for inside in module.modules() for cls in type(inside).__mro__}
    if rules is not None and not isinstance(rules, Mapping):
        raise InputError(f"width_rules is a {type(rules).__name__}; it must map classes of modules to functions")
    explicit = dict(rules or {})
    for cls, rule in explicit.items():
        if not (isinstance(cls, type) and issubclass(cls, nn.Module) and callable(rule)):
            raise InputError(
                f"width_rules has {cls!r}: {rule!r}; it must map classes of modules to functions of a "
                f"workbench.BlockWidths, such as {{Ghost: lambda block: {{'makes': block.makes}}}}"
            )
        if cls not in classes:
            own = {type(inside).__name__ for inside in module.modules() if not _is_torchs(type(inside))}
            listed = f"its own classes are {', '.join(sorted(own)) or 'none'}"
            raise InputError(
                f"width_rules has a rule for {cls.__name__}, and {type(module).__name__} has no such module; "
                f"{'a class that was defined again is another one' if cls.__name__ in own else listed}"
            )
    points = {point.name: point for point in entry_points(group=GROUP)}
    named = {f"{cls.__module__}.{cls.__qualname__}": cls for cls in classes - set(explicit)}
    return explicit | {cls: _loaded(points[name]) for name, cls in named.items() if name in points}


def _is_torchs(cls: type) -> bool:
    return cls.__module__.startswith("torch.")


def _loaded(point: EntryPoint) -> WidthRule:
    try:
        rule = point.load()
    except Exception as error:  # somebody else's code: anything may come
        problem = f"{type(error).__name__}: {first_line(error)}"
        raise WorkbenchError(f"the width rule of {point.name} ({point.value}) cannot be loaded: {problem}") from error
    if not callable(rule):
        raise WorkbenchError(f"the width rule of {point.name} ({point.value}) is a {type(rule).__name__}, no function")
    checked: WidthRule = rule
    return checked
