"""The state of the pass over the channels: the layout of every tensor so far, and what constrains its spans."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from ..op import Op
from ..structure import Structure
from .spans import Span, SpanLayout, align

__all__ = ["ChannelFlow"]


@dataclass
class ChannelFlow:
    """graph: whose channels are followed. layouts: of every tensor to which they could be followed, by name."""

    graph: Structure
    layouts: dict[str, SpanLayout] = field(default_factory=dict)
    # weight -> what its layer reads and makes where it is called first
    _calls: dict[str, tuple[list[Span], list[Span]]] = field(default_factory=dict)
    # tensor -> its slices; module -> parts of one width
    _parts: dict[str, list[SpanLayout]] = field(default_factory=dict)

    def shape(self, tensor: str) -> tuple[int, ...]:
        return self.graph.by_name[tensor].shape

    def class_of(self, op: Op) -> str:
        """Qualified class name of the module whose code runs the operator."""
        return self.graph.classes.get(op.module, "")

    def leaves(self, tensor: str) -> list[Span]:
        """The spans of a tensor's channels; none where they cannot be followed."""
        layout = self.layouts.get(tensor)
        return layout.leaves() if layout else []

    # ---- constraints --------------------------------------------------------------------------------------------

    def freeze(self, tensor: str, reason: str) -> None:
        """Let the channels of a tensor keep their width."""
        _freeze(self.leaves(tensor), reason)

    def freeze_layout(self, layout: SpanLayout, reason: str) -> None:
        """The same for channels of which only the layout is at hand."""
        _freeze(layout.leaves(), reason)

    def freeze_inputs(self, op: Op, reason: str) -> None:
        """Channels that can be followed no further keep their width."""
        for name in op.inputs:
            self.freeze(name, f"{reason} ({op.module or op.name})")

    def forbid_padding(self, tensor: str, reason: str) -> None:
        """Note why widening the channels of a tensor with zeros would change the function."""
        for leaf in self.leaves(tensor):
            leaf.no_pad = leaf.no_pad or reason

    def add_part(self, whole: str, part: SpanLayout) -> None:
        """Note a part of a tensor's (or a module's) channels; where all parts have one width they must keep one."""
        self._parts.setdefault(whole, []).append(part)

    # ---- layouts ------------------------------------------------------------------------------------------------

    def hand_on(self, op: Op, axis: int | None = None, repeat: int = 1) -> None:
        """Give the operator's output the channels of its first input, along `axis` where that is another one."""
        layout = self.layouts.get(op.inputs[0])
        if layout is not None:
            axis = layout.axis if axis is None else axis
            self.layouts[op.name] = replace(layout, axis=axis, repeat=layout.repeat * repeat)

    def make(self, op: Op, axis: int, width: int, multiple: int = 1) -> None:
        """Give the operator's output channels of its own; a layer called twice makes the same ones again."""
        weight = op.param("weight")
        output = [Span(width, multiple)]
        if weight is not None:
            read = self.leaves(op.inputs[0])
            first_read, first_output = self._calls.setdefault(weight.name, (read, output))
            if first_output is not output:
                align(first_read, read)
                output = first_output
        self.layouts[op.name] = SpanLayout(axis, output)

    # ---- equal parts --------------------------------------------------------------------------------------------

    def freeze_equal_parts(self) -> None:
        """Code that cuts a tensor into equal parts wants them equal: where one cannot change, none can."""
        changed = True
        while changed:
            changed = False
            for parts in self._equal_parts():
                leaves = [leaf for part in parts for leaf in part.leaves()]
                reason = next((leaf.frozen for leaf in leaves if leaf.frozen), "")
                if reason and not all(leaf.frozen for leaf in leaves):
                    changed = True
                    _freeze(leaves, f"another of {len(parts)} equal parts cannot change: {reason}")

    def equal_spans(self) -> list[list[Span]]:
        """Spans that must keep one width, having been cut as equal parts of a tensor."""
        cut = [[part.leaves() for part in parts] for parts in self._equal_parts()]
        return [[part[0] for part in parts] for parts in cut if all(len(part) == 1 for part in parts)]

    def _equal_parts(self) -> list[list[SpanLayout]]:
        return [
            parts
            for parts in self._parts.values()
            if len(parts) > 1 and len({sum(span.width for span in part.leaves()) for part in parts}) == 1
        ]


def _freeze(spans: Iterable[Span], reason: str) -> None:
    for span in spans:
        span.freeze(reason)
