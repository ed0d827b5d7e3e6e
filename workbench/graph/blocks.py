"""Building blocks: which operators form one inverted bottleneck, one residual block, one plain convolution.

A block is a module of the tree, found by structure. Inside a module, the main path is the longest chain of
layers from what it reads to what it makes, squeeze-excite and shortcut branches left out; written as one letter a
layer (p: 1x1, d: depthwise, k: KxK dense or grouped, l: linear, a: matrix product), it says the kind:

    pdp  ibn      kp  fused-ibn (k dense, expanding)      dp  depthwise-separable      pk..p  bottleneck
    kk   basic    dpdp (expanding), and dpp or pp where timm's class says so  universal-ib         p, d, k  conv

From the root down, the first module whose chain is one of the longer ones is a block; a module that holds such
modules, or repeats one module, is a stage and is looked into; any other module with layers is one block as it
stands. Layers that stand loose between blocks are grouped: each convolution with the norm and activation behind
it. What computes on globally pooled features up to the output is the head.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .ir import Graph, Op

__all__ = ["Block", "find_blocks"]


@dataclass(frozen=True)
class Block:
    """A building block and the facts experts select by.

    name: timm path ("blocks.1.0", or of its first layer where a block is loose layers: "conv_stem").
    kind: "ibn" | "fused-ibn" | "depthwise-separable" | "universal-ib" | "bottleneck" | "basic" | "conv" | "head" |
    "other".
    ops: names of its operators, in execution order. input: the tensor it reads; output: the one it makes.
    resolution: (h, w) at its input. width, mid_width, out_width: channels in, widest inside, out.
    stride: input over output resolution. kernel: of its largest spatial convolution (0 where it has none).
    residual: a shortcut is added to its main path. se: it has a squeeze-excite (or similar) gate.
    cls: class name of its module.
    """

    name: str
    kind: str
    ops: tuple[str, ...]
    input: str
    output: str
    resolution: tuple[int, int]
    width: int
    mid_width: int
    out_width: int
    stride: int
    kernel: int
    residual: bool
    se: bool
    cls: str = ""


def find_blocks(graph: "Graph") -> tuple[Block, ...]:
    """The building blocks in execution order; every operator but inputs belongs to exactly one.

    >>> import timm
    >>> from workbench.graph.trace import trace
    >>> [(b.name, b.kind) for b in find_blocks(trace(timm.create_model("mobilenetv2_100"), (3, 64, 64)))][:3]
    [('conv_stem', 'conv'), ('blocks.0.0', 'depthwise-separable'), ('blocks.1.0', 'ibn')]
    """
    return _Finder(graph).blocks()


_MULTI = frozenset(("ibn", "fused-ibn", "depthwise-separable", "universal-ib", "bottleneck", "basic"))
_STAGE = re.compile(r"Stage|Sequential|Backbone|Trunk|Encoder$|Tree$")
_WHOLE = re.compile(r"Block|Bottleneck|Module|Att|Downsample")
_LETTERS = {"conv_transpose2d": "t", "conv1d": "c", "linear": "l", "matmul": "a", "attention": "a"}
_ACTIVATIONS = frozenset("relu relu6 hard_swish hard_sigmoid silu sigmoid tanh gelu mish elu leaky_relu prelu".split())
_POOLS = frozenset(("max_pool2d", "avg_pool2d", "adaptive_avg_pool2d", "adaptive_max_pool2d"))
_REDUCES = _POOLS | {"mean", "amax", "sum"}


@dataclass(frozen=True)
class _Chain:
    """The main path of some operators: its layers, its letters, whether a shortcut is added to it."""

    layers: tuple[int, ...] = ()
    letters: str = ""
    residual: bool = False


class _Finder:
    """One pass over one graph; operators are numbered in execution order, inputs left out."""

    def __init__(self, graph: "Graph") -> None:
        self.graph = graph
        self.ops = [op for op in graph.ops if op.kind != "input"]
        index = {op.name: i for i, op in enumerate(self.ops)}
        self.shape = {op.name: op.shape for op in graph.ops}
        self.reads: list[list[int]] = []  # -1: the network's input; parameters left out
        for op in self.ops:
            found = (index.get(name, -1) for name in op.inputs)
            self.reads.append([r for r in found if r < 0 or self.ops[r].kind != "param"])
        self.squeezed = self._squeezed()
        self.letters = [self._letter(op, squeezed) for op, squeezed in zip(self.ops, self.squeezed, strict=True)]
        self.tail = self._tail()
        self.channels_last = self._channels_last()
        self.own: dict[str, list[int]] = {}
        self.under: dict[str, list[int]] = {}
        lineage: dict[str, tuple[str, ...]] = {}
        for i, op in enumerate(self.ops):
            self.own.setdefault(op.module, []).append(i)
            if op.module not in lineage:
                lineage[op.module] = tuple(_lineage(op.module))
            for path in lineage[op.module]:
                self.under.setdefault(path, []).append(i)
        self.lineage = lineage
        self.children: dict[str, list[str]] = {}
        for path, _ in graph.modules:
            if path:
                self.children.setdefault(path.rpartition(".")[0], []).append(path)
        self._chains: dict[str, _Chain] = {}
        self._block: dict[str, bool] = {}

    # ---- layers -----------------------------------------------------------------------------------------------

    def _squeezed(self) -> list[bool]:
        """Which tensors hold one value a channel: globally pooled, flattened, or computed from such only."""
        found: list[bool] = []
        for op, reads in zip(self.ops, self.reads, strict=True):
            if op.kind == "param" or op.kind == "resize":
                found.append(False)
            elif len(op.shape) <= 2 or (reads and all(r >= 0 and found[r] for r in reads)):
                found.append(True)
            else:
                found.append(op.kind in _REDUCES and self._pools(op))
        return found

    def _pools(self, op: "Op") -> bool:
        """Is one value a channel left? (Of a 1x1 map too, where the operator can do nothing else.)"""
        read = self.shape[op.inputs[0]]
        return op.elements in read[1:] and (prod(read) > op.elements or op.kind in ("mean", "amax"))

    def _letter(self, op: "Op", squeezed: bool) -> str:
        if squeezed:
            return ""
        if op.kind == "conv2d":
            return "d" if op.is_depthwise else "p" if op["kernel"] == (1, 1) else "k"
        return _LETTERS.get(op.kind, "")

    def _tail(self) -> list[bool]:
        """What works on squeezed features all the way to the output."""
        tail = list(self.squeezed)
        users: list[list[int]] = [[] for _ in self.ops]
        index = {op.name: i for i, op in enumerate(self.ops)}
        for i in range(len(self.ops) - 1, -1, -1):
            op = self.ops[i]
            if op.kind == "param":
                tail[i] = bool(users[i])
            tail[i] = tail[i] and all(tail[u] for u in users[i])
            for name in op.inputs:
                if name in index:
                    users[index[name]].append(i)
        return tail

    def _channels_last(self) -> dict[str, bool]:
        """Which four-dimensional tensors have their channels last."""
        found: dict[str, bool] = {}
        for op in self.ops:
            if op.kind == "permute" and op["axes"] in ((0, 2, 3, 1), (0, 3, 1, 2)):
                found[op.name] = op["axes"] == (0, 2, 3, 1)
            else:
                found[op.name] = op.kind == "linear" or (
                    op.kind != "conv2d" and found.get(next(iter(op.inputs), ""), False)
                )
        return found

    # ---- chains -----------------------------------------------------------------------------------------------

    def chain(self, path: str) -> _Chain:
        """The main path of a module."""
        if path not in self._chains:
            self._chains[path] = self._chain(self.under.get(path, ()))
        return self._chains[path]

    def _chain(self, members: Sequence[int]) -> _Chain:
        # per operator: score of its longest chain (a thousand a layer, then kernel sizes), the layer before on
        # it, and the fewest layers on any way from outside the module
        score: dict[int, int] = {}
        last: dict[int, int] = {}
        before: dict[int, int] = {}
        fewest: dict[int, int] = {}
        merges: list[tuple[int, int]] = []
        top, end = 0, -1
        for i in members:
            best, layer, few = 0, -1, 0 if not self.reads[i] else 1 << 30
            for r in self.reads[i]:
                if r in score:
                    if score[r] > best:
                        best, layer = score[r], last[r]
                    few = min(few, fewest[r])
                else:
                    few = 0
            letter = self.letters[i]
            if letter:
                op = self.ops[i]
                before[i] = layer
                best, layer = best + 1000 + (max(op["kernel"]) if op.kind == "conv2d" else 1), i
                few += 1
            elif len(self.reads[i]) > 1 and self.ops[i].kind in ("add", "concat"):
                merges.append((best, few))
            score[i], last[i], fewest[i] = best, layer, few
            if best > top:
                top, end = best, layer
        layers: list[int] = []
        while end >= 0:
            layers.append(end)
            end = before[end]
        layers.reverse()
        n = len(layers)
        residual = any(best == top and (few == 0 or 1 == few < n) and n > 0 for best, few in merges)
        return _Chain(tuple(layers), "".join(self.letters[i] for i in layers), residual)

    def kind(self, members: Sequence[int], chain: _Chain, cls: str) -> str:
        letters, residual = chain.letters, chain.residual
        layers = [i for i in members if self.letters[i]]
        if letters in ("dpdp", "pdp", "dpp", "pp") and cls == "UniversalInvertedResidual":
            return "universal-ib"
        if letters == "pdp":
            return "ibn"
        if letters == "dpdp" and self.ops[chain.layers[1]].shape[1] > self.ops[chain.layers[3]].shape[1]:
            return "universal-ib"
        if letters in ("kp", "dp") and (residual or len(layers) - self._beside(members, chain) == len(letters)):
            first, second = (self.ops[i] for i in chain.layers)
            if letters == "dp":
                return "depthwise-separable"
            if first["groups"] == 1 and (first.shape[1] > second.shape[1] or cls == "EdgeResidual"):
                return "fused-ibn"
        if residual and letters == "kk":
            return "basic"
        if residual and len(letters) > 2 and letters.strip("p") == letters[1:-1] == "k" * (len(letters) - 2):
            return "bottleneck"
        if len(letters) == 1 and letters in "pdk" and all(self.letters[i] in "pdk" for i in layers):
            return "conv"
        return "other"

    def _beside(self, members: Sequence[int], chain: _Chain) -> int:
        """Layers that work on other slices beside one of the chain: their outputs are concatenated as they are."""
        pieces = (self.reads[i] for i in members if self.ops[i].kind == "concat")
        rows = (p for p in pieces if set(p) & set(chain.layers) and all(r >= 0 and self.letters[r] for r in p))
        return sum(len(set(p) - set(chain.layers)) for p in rows)

    # ---- which modules are blocks -----------------------------------------------------------------------------

    def cls(self, path: str) -> str:
        return self.graph.classes.get(path, "").rpartition(".")[2]

    def is_container(self, path: str) -> bool:
        return not path or self.graph.classes.get(path, "").startswith("torch.nn.modules.container.")

    def is_block(self, path: str) -> bool:
        if path not in self._block:
            self._block[path] = self._is_block(path)
        return self._block[path]

    def _is_block(self, path: str) -> bool:
        members = self.under.get(path, ())
        if path not in self.children or not any(self.letters[i] for i in members) or self._is_stage(path):
            return False
        if self._matches(path):
            return True
        # residual blocks inside speak louder than the module's own addition or name; plain pairs of layers do not
        own_add = self._adds(path)
        strict = own_add or bool(_WHOLE.search(self.cls(path)))
        inside = any((not strict or self._adds(p)) and self._matches(p) for p in self._below(path))
        return not inside and (own_add or not self._repeats(path))

    def _is_stage(self, path: str) -> bool:
        return self.is_container(path) or bool(_STAGE.search(self.cls(path)))

    def _matches(self, path: str) -> bool:
        members = self.under.get(path, ())
        if path not in self.children or sum(map(bool, (self.letters[i] for i in members))) < 2 or self._is_stage(path):
            return False
        chain = self.chain(path)
        return len(chain.letters) > 1 and self.kind(members, chain, self.cls(path)) in _MULTI

    def _adds(self, path: str) -> bool:
        return any(self.ops[i].kind == "add" and len(self.reads[i]) > 1 for i in self.own.get(path, ()))

    def _below(self, path: str) -> Iterator[str]:
        """The modules inside that hold modules themselves."""
        for child in self.children.get(path, ()):
            if child in self.children:
                yield child
                yield from self._below(child)

    def _repeats(self, path: str) -> bool:
        """Is it a row of modules of one class that holds (nearly) all its layers?"""
        rows: dict[str, list[int]] = {}
        pending = list(self.children.get(path, ()))
        while pending:
            child = pending.pop()
            if self.is_container(child):
                pending += self.children.get(child, ())
                continue
            layers = sum(bool(self.letters[i]) for i in self.under.get(child, ()))
            if layers > 1:
                rows.setdefault(self.cls(child), []).append(layers)
        total = sum(bool(self.letters[i]) for i in self.under[path])
        share = 1.0 if "Block" in self.cls(path) else 0.5
        return any(len(row) > 1 and sum(row) >= share * total for row in rows.values())

    # ---- blocks -----------------------------------------------------------------------------------------------

    def blocks(self) -> tuple[Block, ...]:
        owners: dict[str, str] = {}
        for module, lineage in self.lineage.items():
            owners[module] = next((path for path in lineage if self.is_block(path)), "")
        head = self._head(owners)
        groups: dict[str, list[int]] = {}
        segment: list[int] = []
        for i, op in enumerate(self.ops):
            owner = owners[op.module] if not self.tail[i] else head
            if owner:
                self._close(segment, groups)
                groups.setdefault(owner, []).append(i)
                continue
            begins = op.kind in _POOLS and not self.squeezed[i]
            if begins or (self.letters[i] and any(self.letters[j] or self.ops[j].kind in _POOLS for j in segment)):
                self._close(segment, groups)
            segment.append(i)
        self._close(segment, groups)
        in_order = sorted(groups.items(), key=lambda item: item[1][0])
        made = self._read_outside(groups)
        return tuple(self._facts(name, members, name == head, made) for name, members in in_order)

    def _head(self, owners: dict[str, str]) -> str:
        """The head's name: the module that holds all of it and nothing of the body, else its last layer's."""
        tail = [i for i, is_tail in enumerate(self.tail) if is_tail]
        if not tail:
            return ""
        for path in self.lineage[self.ops[tail[0]].module]:
            whole = self.is_block(path) or all(self.tail[i] for i in self.under[path])
            if path and whole and not self.is_container(path) and set(tail) <= set(self.under[path]):
                return path
        layers = [i for i in tail if self.ops[i].params] or tail
        named = [self.ops[i] for i in layers if self.ops[i].module and self.ops[i].kind != "param"]
        name = named[-1].module if named else self.ops[tail[-1]].name
        return name if name not in owners.values() else self.ops[tail[-1]].name

    def _close(self, segment: list[int], groups: dict[str, list[int]]) -> None:
        """Name a group of loose layers after its convolution, its norm, or whatever there is."""
        if not segment:
            return
        ops = [self.ops[i] for i in segment]
        behind = next((name for name, members in groups.items() if members[-1] == segment[0] - 1), "")
        if behind and all(op.kind in _ACTIVATIONS and _parent(op.module) == _parent(behind) for op in ops):
            groups[behind] += segment  # the activation behind a convolution that is a block by itself
            segment.clear()
            return
        layers = [self.ops[i] for i in segment if self.letters[i] or self.ops[i].kind in _POOLS]
        norms = [op for op in ops if op.params and op.kind != "param"]
        first = next((op for op in (*layers, *norms, *ops) if op.module), None)
        key = next((op.params[0].name for op in ops if op.params), ops[0].name)
        groups.setdefault(first.module if first else key, []).extend(segment)
        segment.clear()

    def _read_outside(self, groups: dict[str, list[int]]) -> frozenset[str]:
        """Tensors that leave their group."""
        home = {self.ops[i].name: name for name, members in groups.items() for i in members}
        read = {
            n for name, members in groups.items() for i in members for n in self.ops[i].inputs if home.get(n) != name
        }
        return frozenset(read.union(self.graph.outputs))

    def _facts(self, name: str, members: list[int], head: bool, leaving: frozenset[str]) -> Block:
        ops = [self.ops[i] for i in members]
        inside = {op.name for op in ops}
        chain = self._chains.get(name) if len(self.under.get(name, ())) == len(members) else None
        chain = chain or self._chain(members)
        outside = [n for op in ops for n in op.inputs if n not in inside and self.graph.by_name[n].kind != "param"]
        source = outside[0] if outside else next(iter(ops[0].inputs), ops[0].name)
        output = next((op.name for op in reversed(ops) if op.name in leaving), ops[-1].name)
        resolution, width = _spatial(self.shape[source], self.channels_last.get(source, False))
        end, out_width = _spatial(self.shape[output], self.channels_last[output])
        main = [self.ops[i] for i in chain.layers]
        widths = [_width(op) for op in main[:-1]] or [max(width, out_width) if not main else out_width]
        stride = prod(max(op["stride"]) for op in main if op.kind == "conv2d")
        if len(self.shape[output]) > 2 and not head:
            stride = max(stride, round(resolution[0] / max(1, end[0])))
        layers = [op for i, op in zip(members, ops, strict=True) if op.kind == "conv2d" and self.letters[i]]
        return Block(
            name=name,
            kind="head" if head else self.kind(members, chain, self.cls(name)),
            ops=tuple(op.name for op in ops),
            input=source,
            output=output,
            resolution=resolution,
            width=width,
            mid_width=max(widths),
            out_width=out_width,
            stride=1 if head else stride,
            kernel=max((max(op["kernel"]) for op in layers), default=0),
            residual=chain.residual and not head,
            se=not head and any(self.squeezed[i] and self.ops[i].params and not self.tail[i] for i in members),
            cls=self.cls(name),
        )


def _lineage(path: str) -> Iterator[str]:
    """The module's ancestors from the outermost, and itself; the root left out."""
    at = path.find(".")
    while at >= 0:
        yield path[:at]
        at = path.find(".", at + 1)
    if path:
        yield path


def _parent(path: str) -> str:
    return path.rpartition(".")[0]


def _spatial(shape: tuple[int, ...], channels_last: bool) -> tuple[tuple[int, int], int]:
    """(h, w) and channels of a feature map; tokens count as a column."""
    if len(shape) == 4:
        return ((shape[1], shape[2]), shape[3]) if channels_last else ((shape[2], shape[3]), shape[1])
    if len(shape) == 3:
        return (shape[1], 1), shape[2]
    return (1, 1), shape[-1] if shape else 1


def _width(op: "Op") -> int:
    return op.shape[1] if op.kind.startswith("conv") else op.shape[-1]
