"""The pass behind `channels.py`: what every kind of operator does to the channels it reads."""

from dataclasses import dataclass, field, replace
from math import lcm
from typing import TYPE_CHECKING

from .factors import REDUCTIONS
from .ir import is_computed
from .paths import is_inside
from .runs import Run, Runs, align, equal_parts
from .shapes import taken_apart

if TYPE_CHECKING:
    from .ir import Graph, Op

__all__ = ["Tracer"]

_ELEMENTWISE = frozenset(
    "batch_norm relu relu6 hard_swish hard_sigmoid silu sigmoid tanh gelu mish elu softplus exp sqrt rsqrt abs neg "
    "leaky_relu prelu clamp pow".split()
)
_POOLS = frozenset("max_pool2d avg_pool2d adaptive_avg_pool2d adaptive_max_pool2d resize".split())
_BINARY = frozenset("add sub mul div maximum minimum addcmul".split())


# Attention whose code holds its inner width as a number of its own; others take what they read.
_KNOW_THEIR_WIDTH = (
    "timm.layers.attention.",
    "timm.models.levit.",
    "timm.models.efficientformer.",
    "timm.models.tiny_vit.",
)


# Attention whose code holds one number for the width of values, of all heads, and of the part it attends to.
_ONE_VALUE_WIDTH = (".SHSA", ".CascadedGroupAttention")


@dataclass
class Tracer:
    """Visits operators in order; `layouts` holds the channel runs of every tensor they could be followed to."""

    graph: "Graph"
    layouts: dict[str, Runs] = field(default_factory=dict)
    _shared: dict[str, tuple[list[Run], list[Run]]] = field(default_factory=dict)
    _parts: dict[str, list[Runs]] = field(default_factory=dict)  # tensor -> its slices; module -> parts of one width

    def freeze(self, tensor: str, reason: str) -> None:
        """No layout of `tensor` may change from here on."""
        for leaf in self._leaves(tensor):
            leaf.frozen = leaf.frozen or reason

    def visit(self, op: "Op") -> None:
        kind = op.kind
        if kind == "input":
            if len(op.shape) > 1:
                self.layouts[op.name] = Runs(1, [Run(op.shape[1], frozen="it is the network's input")])
        elif kind == "param":
            pass  # takes the layout of what it is combined with
        elif any(self._is_apart(name) for name in op.inputs):
            self._apart(op)
        elif kind in _ELEMENTWISE | _POOLS:
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

    def _leaves(self, tensor: str) -> list[Run]:
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
            at = found.axis if axis is None else axis
            self.layouts[op.name] = replace(found, axis=at, repeat=found.repeat * repeat)

    # ---- layers ---------------------------------------------------------------------------------------------

    def _new(self, op: "Op", axis: int, width: int, multiple: int = 1) -> None:
        """The layer makes new channels; a module called twice makes the same ones again."""
        weight = op.param("weight")
        made = [Run(width, multiple)]
        read = self._leaves(op.inputs[0])
        if weight is not None:
            earlier = self._shared.setdefault(weight.name, (read, made))
            if earlier[1] is not made:
                align(earlier[0], read)
                made = earlier[1]
        self.layouts[op.name] = Runs(axis, made)

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
                    self.layouts[name] = Runs(own, first.runs, first.repeat)
                else:
                    self.freeze_runs(first, f"{op.kind} reads channels that cannot be followed ({op.module})")
            elif found is not first:
                if found.repeat != first.repeat or found.axis != own:
                    self._lose(op, f"{op.kind} lines up different channel axes")
                    return
                align(first.runs, found.runs)
        self.layouts[op.name] = Runs(axis, first.runs, first.repeat)

    def freeze_runs(self, runs: Runs, reason: str) -> None:
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

    _mean = _sum = _amax = _norm = _reduce

    def _var(self, op: "Op") -> None:
        found, shape = self.layouts.get(op.inputs[0]), self.graph.by_name[op.inputs[0]].shape
        if found is not None and len(shape) > 4 and shape[found.axis + 1] == 1:
            self._lose(op, "statistics of groups of one channel")
        else:
            self._reduce(op)

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
        apart = taken_apart(op, shape, found.axis)
        if apart is not None and found.repeat == 1:
            self.layouts[op.name] = replace(found, axis=apart[0], inner=apart[1])
        else:
            self._lose(op, "a reshape splits or mixes the channels")

    def _tie(self, module: str, width: int) -> None:
        """Attention that has as many channels inside as its module reads takes that number from its input."""
        if not module or module not in self.graph.classes:
            return
        if self.graph.classes[module].startswith(_KNOW_THEIR_WIDTH):
            return
        inside = {o.name for o in self.graph.ops if is_inside(o.module, module)}
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
        zeros = [Run(n, frozen=f"it is padding ({op.module})") for n in (before, after)]
        runs = [zeros[0]] * (before > 0) + found.runs + [zeros[1]] * (after > 0)
        self.layouts[op.name] = Runs(found.axis, runs, found.repeat)

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
                found = Runs(axis, [Run(1, frozen="a single map made by a reduction")])
            if found is None:
                self._lose(op, "a concatenation reads channels that cannot be followed")
                return
            parts.append(found)
        if any(p.axis != parts[0].axis or p.repeat != parts[0].repeat for p in parts) or (
            parts[0].axis == axis and parts[0].repeat > 1
        ):
            self._lose(op, "a concatenation lines up different channel axes")
        elif parts[0].axis == axis:
            self.layouts[op.name] = Runs(axis, [run for p in parts for run in p.runs])
        else:
            for part in parts[1:]:
                align(parts[0].runs, part.runs)
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
        self.layouts[op.name] = Runs(axis, kept)
        self._parts.setdefault(op.inputs[0], []).append(self.layouts[op.name])
        if self.graph.classes.get(op.module, "").endswith(_ONE_VALUE_WIDTH):
            cuts = [o for o in self.graph.consumers[op.inputs[0]] if o.kind == "slice"]
            values = len(cuts) == 3  # queries, keys, values
            if (values and stop == shape[axis]) or (not values and start == 0):
                self._parts.setdefault(op.module, []).append(self.layouts[op.name])

    def finish(self) -> None:
        """Code that cuts a tensor into equal parts wants them equal: where one cannot change, none can."""
        changed = True
        while changed:
            changed = False
            for parts in self._equal():
                leaves = [leaf for part in parts for leaf in part.leaves()]
                fixed = next((leaf.frozen for leaf in leaves if leaf.frozen), "")
                if fixed and not all(leaf.frozen for leaf in leaves):
                    changed = True
                    for part in parts:
                        self.freeze_runs(part, f"another of {len(parts)} equal parts cannot change: {fixed}")

    def equal(self) -> list[list[Run]]:
        """Runs that must keep one width, having been cut as equal parts of a tensor."""
        cut = [[part.leaves() for part in parts] for parts in self._equal()]
        return [[part[0] for part in parts] for parts in cut if all(len(part) == 1 for part in parts)]

    def _equal(self) -> list[list[Runs]]:
        return [
            parts
            for parts in self._parts.values()
            if len(parts) > 1 and len({sum(run.width for run in part.leaves()) for part in parts}) == 1
        ]

    def _matmul(self, op: "Op") -> None:
        """[.., M, K] by [.., K, N]: channels along M or N stay, what is summed over is gone."""
        stays: list[Runs] = []
        for side, name in enumerate(op.inputs):
            found, shape = self.layouts.get(name), self.graph.by_name[name].shape
            if found is None:
                continue
            if found.axis == len(shape) - 2 + side:
                stays.append(replace(found, axis=len(op.shape) - 2 + side))
            elif found.axis < len(shape) - 2 and shape[found.axis] == 1:
                self.freeze(name, f"its one channel stands for all that it meets ({op.module or op.name})")
            else:  # summed over, or one matrix for each channel
                stays.clear()
                break
        if len(stays) == 1:
            self.layouts[op.name] = stays[0]
        else:
            self._lose(op, "a matrix product mixes the channels")

    def _attention(self, op: "Op") -> None:
        self._lose(op, "a matrix product mixes the channels")

    # ---- channels taken apart -------------------------------------------------------------------------------

    def _is_apart(self, tensor: str) -> bool:
        found = self.layouts.get(tensor)
        return found is not None and found.inner is not None

    def _apart(self, op: "Op") -> None:
        """Reads channels in equal parts: statistics of each part want whole parts, what joins parts makes them one."""
        found = self.layouts[next(name for name in op.inputs if self._is_apart(name))]
        assert found.inner is not None
        rank = len(self.graph.by_name[op.inputs[0]].shape)
        axes = {a % rank for a in op.get("axes") or ()} if op.kind in REDUCTIONS else set()
        if op.kind in _ELEMENTWISE or op.kind == "expand":
            self._same(op)
        elif op.kind in REDUCTIONS and found.inner in axes and found.axis not in axes and op["keepdim"]:
            self._whole_parts(op, found)
        elif op.kind == "softmax" and op["axis"] % rank != found.inner:
            self._same(op)
        elif self._stays_apart(op, found):
            pass
        elif op.kind in REDUCTIONS or op.kind in ("slice", "permute") or op.kind in _BINARY:
            for name in op.inputs:
                self._unite(name)
            self.visit(op)
        else:
            for name in filter(self._is_apart, op.inputs):
                self.freeze(name, f"a reshape splits or mixes the channels ({op.module or op.name})")
                del self.layouts[name]
            self.visit(op)

    def _stays_apart(self, op: "Op", found: Runs) -> bool:
        if op.kind == "reshape":
            return self._joined(op, found)
        if op.kind == "permute":
            return self._moved(op, found)
        return op.kind in _BINARY and self._met(op, found)

    def _whole_parts(self, op: "Op", found: Runs) -> None:
        parts = self.graph.by_name[op.inputs[0]].shape[found.axis]
        self._no_pad(op.inputs[0], f"a {op.kind} runs over groups of channels ({op.module})")
        leaves = found.leaves()
        if len(leaves) == 1:
            leaves[0].multiple = lcm(leaves[0].multiple, parts)
        else:
            self._lose(op, f"a {op.kind} over groups reads several segments")
        self._same(op)

    def _joined(self, op: "Op", found: Runs) -> bool:
        """Parts and channels of a part become one axis again."""
        shape = self.graph.by_name[op.inputs[0]].shape
        for axis, merged in enumerate(op["dims"]):
            both = merged and found.axis in merged and found.inner in merged
            if both and all(shape[d] == 1 for d in merged if d not in (found.axis, found.inner)):
                self.layouts[op.name] = replace(found, axis=axis, inner=None)
                return True
        return False

    def _moved(self, op: "Op", found: Runs) -> bool:
        """Parts before their channels still, nothing in between."""
        axes = list(op["axes"])
        parts, inner = axes.index(found.axis), axes.index(found.inner)
        if parts > inner or any(op.shape[d] != 1 for d in range(parts + 1, inner)):
            return False
        self.layouts[op.name] = replace(found, axis=parts, inner=inner)
        return True

    def _met(self, op: "Op", found: Runs) -> bool:
        """All in the same parts, or one value for all of them."""
        others = [self.layouts.get(name) for name in op.inputs]
        apart = [o for o in others if o is not None and (o.axis, o.inner) == (found.axis, found.inner)]
        shapes = [self.graph.by_name[name].shape for name, o in zip(op.inputs, others, strict=True) if o not in apart]
        if any(len(shape) != len(op.shape) or shape[found.axis] * shape[found.inner or 0] != 1 for shape in shapes):
            return False
        if any(o is not None for o in others if o not in apart):
            return False
        for other in apart[1:]:
            align(found.runs, other.runs)
        self.layouts[op.name] = found
        return True

    def _unite(self, tensor: str) -> None:
        found = self.layouts.get(tensor)
        if found is not None and found.inner is not None:
            parts = self.graph.by_name[tensor].shape[found.axis]
            self.layouts[tensor] = Runs(found.inner, equal_parts(found.runs, parts))
