"""The pass behind `channels.py`: union-find over runs of channels that can still be cut in two."""

from dataclasses import dataclass, field
from math import lcm
from typing import TYPE_CHECKING

from .ir import is_computed

if TYPE_CHECKING:
    from .ir import Graph, Op

__all__ = ["Tracer"]

_POINTWISE = frozenset(
    "batch_norm relu relu6 hard_swish hard_sigmoid silu sigmoid tanh gelu mish elu softplus exp sqrt abs neg "
    "leaky_relu prelu clamp pow max_pool2d avg_pool2d adaptive_avg_pool2d adaptive_max_pool2d resize".split()
)
_BINARY = frozenset("add sub mul div maximum minimum".split())


# Attention whose code holds its inner width as a number of its own; others take what they read.
_KNOW_THEIR_WIDTH = (
    "timm.layers.attention.",
    "timm.models.levit.",
    "timm.models.efficientformer.",
    "timm.models.tiny_vit.",
)


@dataclass(eq=False)
class _Run:
    """Channels that move as one; `link` leads to what they became (another run, or two halves)."""

    width: int
    multiple: int = 1
    frozen: str = ""
    no_pad: str = ""
    link: "tuple[_Run, ...]" = ()

    def leaves(self) -> "list[_Run]":
        if not self.link:
            return [self]
        if len(self.link) == 1:
            return self.link[0].leaves()
        return [leaf for part in self.link for leaf in part.leaves()]

    def cut(self, at: int) -> None:
        frozen = self.frozen
        if self.multiple > 1:
            frozen = frozen or "a slice cuts through the groups of a grouped layer"
        self.link = tuple(_Run(w, 1, frozen, self.no_pad) for w in (at, self.width - at))

    def absorb(self, other: "_Run") -> None:
        self.multiple = lcm(self.multiple, other.multiple)
        self.frozen = self.frozen or other.frozen
        self.no_pad = self.no_pad or other.no_pad
        other.link = (self,)


@dataclass
class _Runs:
    axis: int
    runs: list[_Run]
    repeat: int = 1

    def leaves(self) -> list[_Run]:
        return [leaf for run in self.runs for leaf in run.leaves()]


def _align(a: list[_Run], b: list[_Run]) -> None:
    """Make two sequences of equal total width one, cutting where their borders differ."""
    left, right = list(a), list(b)
    while left and right:
        x, y = left.pop(0), right.pop(0)
        if x.link:
            left[:0] = x.leaves()
            right.insert(0, y)
        elif y.link:
            right[:0] = y.leaves()
            left.insert(0, x)
        elif x is y:
            continue
        elif x.width == y.width:
            x.absorb(y)
        else:
            (x if x.width > y.width else y).cut(min(x.width, y.width))
            left.insert(0, x)
            right.insert(0, y)


@dataclass
class Tracer:
    """Visits operators in order; `layouts` holds the channel runs of every tensor they could be followed to."""

    graph: "Graph"
    layouts: dict[str, _Runs] = field(default_factory=dict)
    _shared: dict[str, tuple[list[_Run], list[_Run]]] = field(default_factory=dict)
    _parts: dict[str, list[_Runs]] = field(default_factory=dict)  # tensor -> its slices along the channels

    def freeze(self, tensor: str, reason: str) -> None:
        """No layout of `tensor` may change from here on."""
        for leaf in self._leaves(tensor):
            leaf.frozen = leaf.frozen or reason

    def visit(self, op: "Op") -> None:
        kind = op.kind
        if kind == "input":
            if len(op.shape) > 1:
                self.layouts[op.name] = _Runs(1, [_Run(op.shape[1], frozen="it is the network's input")])
        elif kind == "param":
            pass  # takes the layout of what it is combined with
        elif kind in _POINTWISE:
            self._same(op)
        elif kind in ("conv2d", "conv_transpose2d"):
            self._convolution(op)
        elif kind == "conv1d":
            self._conv1d(op)
        elif kind == "linear":
            self._linear(op)
        elif kind in _BINARY:
            self._binary(op)
        elif hasattr(self, f"_{kind}"):
            getattr(self, f"_{kind}")(op)
        else:
            self._lose(op, f"no rule says what {kind} does to channels")
            if kind == "aten.im2col":  # outlook attention; the layer that unfolds is part of it
                self._tie(op.module.rpartition(".")[0], self.graph.by_name[op.inputs[0]].shape[1])

    def _leaves(self, tensor: str) -> list[_Run]:
        found = self.layouts.get(tensor)
        return found.leaves() if found else []

    def _lose(self, op: "Op", reason: str) -> None:
        for name in op.inputs:
            self.freeze(name, f"{reason} ({op.module or op.name})")

    def _no_pad(self, tensor: str, reason: str) -> None:
        for leaf in self._leaves(tensor):
            leaf.no_pad = leaf.no_pad or reason

    def _same(self, op: "Op", axis: int | None = None, repeat: int = 1) -> None:
        found = self.layouts.get(op.inputs[0])
        if found is not None:
            self.layouts[op.name] = _Runs(found.axis if axis is None else axis, found.runs, found.repeat * repeat)

    # ---- layers ---------------------------------------------------------------------------------------------

    def _new(self, op: "Op", axis: int, width: int, multiple: int = 1) -> None:
        """The layer makes new channels; a module called twice makes the same ones again."""
        weight = op.param("weight")
        made = [_Run(width, multiple)]
        read = self._leaves(op.inputs[0])
        if weight is not None:
            earlier = self._shared.setdefault(weight.name, (read, made))
            if earlier[1] is not made:
                _align(earlier[0], read)
                made = earlier[1]
        self.layouts[op.name] = _Runs(axis, made)

    def _convolution(self, op: "Op") -> None:
        groups = op["groups"]
        found = self.layouts.get(op.inputs[0])
        if groups > 1 and found is not None and op.is_depthwise:
            self._same(op, repeat=op.shape[1] // groups)
            return
        multiple = 1
        if "StdConv2d" in self.graph.classes.get(op.module, ""):
            self._no_pad(op.inputs[0], f"a layer standardises its weights over the channels it reads ({op.module})")
        if groups > 1:
            leaves = found.leaves() if found else []
            if len(leaves) == 1 and found is not None and found.repeat == 1 and op.kind == "conv2d":
                multiple = groups
                leaves[0].multiple = lcm(leaves[0].multiple, groups)
            else:
                self._lose(op, "a grouped convolution reads several segments")
        self._new(op, 1, op.shape[1], multiple)
        if op.module.endswith(".sr"):  # spatial reduction, as PVT names it
            self.freeze(op.name, f"attention takes its width from what it reads ({op.module})")
        if groups > 1 and multiple == 1:
            self.freeze(op.name, f"a grouped convolution reads several segments ({op.module or op.name})")

    def _conv1d(self, op: "Op") -> None:
        found = self.layouts.get(op.inputs[0])
        if found is not None and found.axis == 2 and op.shape[2] == self.graph.by_name[op.inputs[0]].shape[2]:
            self._no_pad(op.inputs[0], f"a convolution runs across the channels ({op.module})")
            self._same(op)
        elif op["groups"] == 1:
            self._new(op, 1, op.shape[1])
        else:
            self._lose(op, "no rule says what a grouped conv1d does to channels")

    def _linear(self, op: "Op") -> None:
        found = self.layouts.get(op.inputs[0])
        if found is not None and found.axis != len(self.graph.by_name[op.inputs[0]].shape) - 1:
            self._lose(op, "a linear layer reads another axis than the channels")
        self._new(op, len(op.shape) - 1, op.shape[-1])

    def _layer_norm(self, op: "Op") -> None:
        self._no_pad(op.inputs[0], f"a layer norm averages over the channels ({op.module})")
        self._same(op)

    def _group_norm(self, op: "Op") -> None:
        self._no_pad(op.inputs[0], f"a group norm averages over channels ({op.module})")
        leaves = self._leaves(op.inputs[0])
        if op["groups"] > 1:
            if len(leaves) == 1:
                leaves[0].multiple = lcm(leaves[0].multiple, op["groups"])
            else:
                self._lose(op, "a group norm reads several segments")
        self._same(op)

    # ---- elementwise ----------------------------------------------------------------------------------------

    def _binary(self, op: "Op") -> None:
        tracked = []
        for name in op.inputs:
            found, shape = self.layouts.get(name), self.graph.by_name[name].shape
            if found is not None:
                tracked.append((found.axis + len(op.shape) - len(shape), found))
        if not tracked:
            return
        axis, first = max(tracked, key=lambda pair: sum(run.width for run in pair[1].leaves()))
        size = op.shape[axis]
        for name in dict.fromkeys(op.inputs):
            shape = self.graph.by_name[name].shape
            own = axis - (len(op.shape) - len(shape))
            found = self.layouts.get(name)
            if size != 1 and (own < 0 or shape[own] == 1):  # broadcast over the channels
                if found is not None and found.axis == own:
                    self.freeze_runs(found, f"its one channel stands for all that it meets ({op.module or op.name})")
                continue
            if found is None:
                if is_computed(self.graph.by_name[name]):
                    self.freeze_runs(first, f"a table computed in code is combined with it ({op.module})")
                elif self.graph.by_name[name].kind == "param":
                    self.layouts[name] = _Runs(own, first.runs, first.repeat)
                else:
                    self.freeze_runs(first, f"{op.kind} reads channels that cannot be followed ({op.module})")
            elif found is not first:
                if found.repeat != first.repeat or found.axis != own:
                    self._lose(op, f"{op.kind} lines up different channel axes")
                    return
                _align(first.runs, found.runs)
        self.layouts[op.name] = _Runs(axis, first.runs, first.repeat)

    def freeze_runs(self, runs: _Runs, reason: str) -> None:
        for leaf in runs.leaves():
            leaf.frozen = leaf.frozen or reason

    # ---- shape ----------------------------------------------------------------------------------------------

    def _reduce(self, op: "Op") -> None:
        found = self.layouts.get(op.inputs[0])
        if found is None:
            return
        rank = len(self.graph.by_name[op.inputs[0]].shape)
        axes = [a % rank for a in op["axes"]]
        if found.axis in axes:
            self._no_pad(op.inputs[0], f"a {op.kind} runs over the channels ({op.module})")
            return
        self._same(op, found.axis if op["keepdim"] else found.axis - sum(a < found.axis for a in axes))

    _mean = _sum = _amax = _reduce

    def _softmax(self, op: "Op") -> None:
        found = self.layouts.get(op.inputs[0])
        if found is not None and op["axis"] % len(op.shape) == found.axis:
            self._no_pad(op.inputs[0], f"a softmax runs over the channels ({op.module})")
        self._same(op)

    def _reshape(self, op: "Op") -> None:
        found = self.layouts.get(op.inputs[0])
        if found is None:
            if any(merged and len(merged) > 1 for merged in op["dims"]):
                maps = self.graph.classes.get(op.module, "").endswith(".LambdaLayer") and len(op.shape) == 4
                self._tie(op.module, op.shape[1 if maps else -1])
            return
        shape = self.graph.by_name[op.inputs[0]].shape
        for axis, merged in enumerate(op["dims"]):
            if merged is None or found.axis not in merged:
                continue
            others = [d for d in merged if shape[d] != 1 and d != found.axis]
            if all(d > found.axis for d in others):
                repeat = 1
                for d in others:
                    repeat *= shape[d]
                self._same(op, axis, repeat)
                return
        self._lose(op, "a reshape splits or mixes the channels")

    def _tie(self, module: str, width: int) -> None:
        """Attention that has as many channels inside as its module reads takes that number from its input."""
        if not module or module not in self.graph.classes:
            return
        if self.graph.classes[module].startswith(_KNOW_THEIR_WIDTH):
            return
        inside = {o.name for o in self.graph.ops if o.module == module or o.module.startswith(f"{module}.")}
        for name in {i for o in self.graph.ops if o.name in inside for i in o.inputs if i not in inside}:
            found = self.layouts.get(name)
            if found and sum(run.width for run in found.leaves()) == width and self.graph.by_name[name].kind != "param":
                self.freeze_runs(found, f"attention has as many channels inside as it reads ({module})")

    def _permute(self, op: "Op") -> None:
        found = self.layouts.get(op.inputs[0])
        if found is not None:
            self._same(op, list(op["axes"]).index(found.axis))

    def _pad(self, op: "Op") -> None:
        found = self.layouts.get(op.inputs[0])
        if found is None:
            return
        before, after = op["pads"][found.axis]
        if found.repeat > 1 and (before or after):
            self._lose(op, "a pad widens repeated channels")
            return
        zeros = [_Run(n, frozen=f"it is padding ({op.module})") for n in (before, after)]
        runs = [zeros[0]] * (before > 0) + found.runs + [zeros[1]] * (after > 0)
        self.layouts[op.name] = _Runs(found.axis, runs, found.repeat)

    def _reflect_pad(self, op: "Op") -> None:
        found = self.layouts.get(op.inputs[0])
        if found is not None and any(op["pads"][found.axis]):
            self._lose(op, "channels are reflected")
        else:
            self._same(op)

    def _concat(self, op: "Op") -> None:
        axis = op["axis"] % len(op.shape)
        parts = []
        for name in op.inputs:
            found = self.layouts.get(name)
            if found is None and self.graph.by_name[name].shape[axis] == 1:
                found = _Runs(axis, [_Run(1, frozen="a single map made by a reduction")])
            if found is None:
                self._lose(op, "a concatenation reads channels that cannot be followed")
                return
            parts.append(found)
        if any(p.axis != parts[0].axis or p.repeat != parts[0].repeat for p in parts) or (
            parts[0].axis == axis and parts[0].repeat > 1
        ):
            self._lose(op, "a concatenation lines up different channel axes")
        elif parts[0].axis == axis:
            self.layouts[op.name] = _Runs(axis, [run for p in parts for run in p.runs])
        else:
            for part in parts[1:]:
                _align(parts[0].runs, part.runs)
            self._same(op)

    def _slice(self, op: "Op") -> None:
        found = self.layouts.get(op.inputs[0])
        if found is None:
            return
        shape = self.graph.by_name[op.inputs[0]].shape
        axis = op["axis"] % len(shape)
        if axis != found.axis:
            self._same(op)
            return
        if op["step"] != 1 or found.repeat != 1:
            self._lose(op, "a strided slice takes channels apart")
            return
        start, stop = op["start"], min(op["stop"], shape[axis])
        kept, at = [], 0
        pending = found.leaves()
        while pending:
            run = pending.pop(0)
            border = next((b for b in (start, stop) if at < b < at + run.width), None)
            if border is not None:
                run.cut(border - at)
                pending[:0] = run.leaves()
                continue
            if start <= at < stop:
                kept.append(run)
            at += run.width
        self.layouts[op.name] = _Runs(axis, kept)
        self._parts.setdefault(op.inputs[0], []).append(self.layouts[op.name])
        if start == 0 and self.graph.classes.get(op.module, "").endswith(".SHSA"):
            self.freeze(op.name, f"single-head attention has as many channels inside as it reads ({op.module})")

    def finish(self) -> None:
        """Code that cuts a tensor into equal parts wants them equal: where one cannot change, none can."""
        for parts in self._equal():
            fixed = next((run.frozen for part in parts for run in part.leaves() if run.frozen), "")
            if fixed:
                for part in parts:
                    self.freeze_runs(part, f"another of {len(parts)} equal parts cannot change: {fixed}")

    def equal(self) -> list[list[_Run]]:
        """Runs that must keep one width, having been cut as equal parts of a tensor."""
        cut = [[part.leaves() for part in parts] for parts in self._equal()]
        return [[part[0] for part in parts] for parts in cut if all(len(part) == 1 for part in parts)]

    def _equal(self) -> list[list[_Runs]]:
        return [
            parts
            for parts in self._parts.values()
            if len(parts) > 1 and len({sum(run.width for run in part.leaves()) for part in parts}) == 1
        ]

    def _matmul(self, op: "Op") -> None:
        self._lose(op, "a matrix product mixes the channels")

    _attention = _matmul
