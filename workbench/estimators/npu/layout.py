"""Where the maps of a lowered network are: what is a view of what, what is written into what, and in which order
channels lie.

* a reshape is its input; a slice is, where nobody cuts it again; so is padding that convolutions do themselves;
* what a concatenation or padding reads is written into it where nobody else reads it;
* maps are in bricks of 16 channels, except the network's inputs and outputs, constants, what is read or written at a
  channel that is no multiple of 16, what a grouped convolution reads, what is interpolated (U55, U65), and what a
  reshape turns
"""

from collections.abc import Mapping, Sequence
from math import ceil, prod, sqrt

from ...hardware.lowering import HwOp
from .passes import ELEMENTWISE, Map

__all__ = [
    "LOOKED_UP",
    "OPS",
    "TURNED",
    "Layout",
    "constant_of",
    "deepened",
    "hwc",
    "is_batched",
    "squared",
    "sums_channels",
]

OPS = {
    "CONV_2D": "Conv2D",
    "DEPTHWISE_CONV_2D": "DepthwiseConv2D",
    "FULLY_CONNECTED": "FullyConnected",
    "ADD": "Add",
    "SUB": "Sub",
    "MUL": "Mul",
    "MAXIMUM": "Maximum",
    "MINIMUM": "Minimum",
    "ABS": "Abs",
    "AVERAGE_POOL_2D": "AvgPool",
    "MAX_POOL_2D": "MaxPool",
    "QUANTIZE": "Quantize",
    "RELU": "Relu",
    "RELU6": "Relu6",
    "DIV": "Div",
    "ASR": "Asr",
    "CLZ": "CLZ",
    "SHL": "SHL",
    "REDUCE_SUM": "ReduceSum",
    "MEMORY_COPY": "MemoryCopy",
    "TRANSPOSE": "Transpose",
    "MATMUL": "MatMul",
}
LOOKED_UP = frozenset(["LOGISTIC", "TANH", "HARD_SWISH", "GELU", "LEAKY_RELU", "EXP", "RSQRT"])
TURNED = ELEMENTWISE | {"Quantize", "Relu", "Relu6", "LUT"}
_SHALLOW = 8  # channels below which elementwise work turns a map
_CONVOLUTIONS = frozenset(["CONV_2D", "DEPTHWISE_CONV_2D"])
_VIEWS = frozenset(["RESHAPE", "SLICE", "STRIDED_SLICE", "PAD"])  # what may be one
_PLAIN = {  # what reads and writes channels last only
    "u55": frozenset(["TRANSPOSE", "MATMUL", "REDUCE_SUM"]),
    "u65": frozenset(["TRANSPOSE", "MATMUL", "REDUCE_SUM"]),
    "u85": frozenset(["REDUCE_SUM"]),
}

_PARTICULAR = frozenset(  # what may be particular about how channels lie
    "HOST CONCATENATION MEMORY_COPY RESIZE_BILINEAR MEAN CONV_2D SLICE STRIDED_SLICE".split()
).union(*_PLAIN.values())


def hwc(shape: Sequence[int]) -> tuple[int, int, int]:
    """(rows, columns, channels) of a tensor."""
    if len(shape) < 2:
        return 1, 1, shape[-1] if shape else 1
    return prod(shape[:-2]), shape[-2], shape[-1]


class Layout:
    """The maps of a lowered network.

    family: the accelerator's. number: of every operator, as costs are charged. made: operators by name. readers: by
    name. size: (rows, columns, channels) by name. views: what looks at another tensor. home: tensor -> what it is
    written into. memory: tensor -> name of the memory it is in. linear: memories whose channels lie side by side.
    maps: as their readers see them, by name.
    """

    def __init__(self, ops: Sequence[HwOp], family: str, number: Mapping[str, int]) -> None:
        self.ops = tuple(ops)
        self.family = family
        self.number = number
        self.made = {op.name: op for op in ops}
        self.readers: dict[str, list[HwOp]] = {op.name: [] for op in ops}
        for op in ops:
            for name in dict.fromkeys(op.inputs):
                self.readers[name].append(op)
        self.size = {op.name: hwc(op.shape) for op in ops}
        self.views = {op.name: op.inputs[0] for op in ops if op.kind in _VIEWS and self._is_view(op)}
        self.home = self._homes()
        self.memory = {name: self.home.get(root, root) for name, root in self._roots().items()}
        self.linear = self._linear()
        self.maps = {
            op.name: Map(*self.size[op.name], self.memory[op.name] not in self.linear, op.bits) for op in self.ops
        }

    def _is_view(self, op: HwOp) -> bool:
        if op.kind == "RESHAPE":
            return True
        if op.kind in ("SLICE", "STRIDED_SLICE"):
            return bool(self.readers[op.name]) and self._cut_by_readers(op, op.shape)
        return op.kind == "PAD" and all(user.kind in _CONVOLUTIONS for user in self.readers[op.name])

    def _cut_by_readers(self, op: HwOp, shape: Sequence[int]) -> bool:
        """Whether all readers of a slice, reshapes in between or not, can read it out of the whole."""
        for user in self.readers[op.name]:
            if user.kind == "FULLY_CONNECTED" or is_batched(user):
                h, w, c = hwc(shape)
                if squared(Map(h, w, c)) != Map(h, w, c):
                    return False
            if user.kind == "RESHAPE":
                if _folded(user.shape) != _folded(shape) or not self._cut_by_readers(user, shape):
                    return False
            elif self._slices(user) or user.kind == "TRANSPOSE":
                return False
        return True

    def _slices(self, user: HwOp) -> bool:
        """Whether a reader cuts its input itself."""
        return user.kind in ("SLICE", "STRIDED_SLICE") or (user.groups > 1 and user.kind == "CONV_2D")

    def root(self, name: str) -> str:
        """The tensor a view looks at."""
        while name in self.views:
            name = self.views[name]
        return name

    def _roots(self) -> dict[str, str]:
        if not self.views:
            return {name: name for name in self.made}
        return {name: self.root(name) for name in self.made}

    def is_part(self, name: str, lead: bool = False) -> bool:
        """Whether a reader cuts what it reads out of a map; lead: along an axis before rows, columns and channels."""
        while name in self.views:
            op = self.made[name]
            if op.kind in ("SLICE", "STRIDED_SLICE") and (not lead or op.extra[0] < len(op.shape) - 3):
                return True
            name = self.views[name]
        return False

    def real_readers(self, name: str) -> list[HwOp]:
        """Readers of a tensor, through views."""
        found = []
        for user in self.readers[name]:
            found += self.real_readers(user.name) if user.name in self.views else [user]
        return found

    def _homes(self) -> dict[str, str]:
        """Tensor -> the concatenation or padding it is written into."""
        home = {}
        for op in self.ops:
            if op.kind == "STACK":
                home.update(dict.fromkeys(op.inputs, op.name))
            if op.kind == "CONCATENATION" or (op.kind in ("PAD", "PADV2") and op.name not in self.views):
                for name in dict.fromkeys(op.inputs):
                    maker = self.made[name]
                    taken = maker.kind in ("INPUT", "HOST", "CONCATENATION", "SLICE", "STRIDED_SLICE", "PAD", "PADV2")
                    shared = len(self.readers[name]) > 1 or op.inputs.count(name) > 1
                    folded = op.kind == "PAD" and any(user.kind in _CONVOLUTIONS for user in self.readers[op.name])
                    batched = prod(op.shape[:-3]) > 1 and OPS.get(maker.kind) not in ELEMENTWISE
                    if not (taken or batched or shared or folded or name in self.views):
                        home[name] = op.name
        return home

    def _linear(self) -> frozenset[str]:
        """Memories whose channels lie side by side."""
        found: set[str] = set()
        for op in self.ops:
            if op.kind in ("INPUT", "HOST") or not self.readers[op.name]:
                found.add(self.memory[op.name])
            if op.kind in _PARTICULAR:
                found |= self._lined_up(op)
        return frozenset(found | self._refolded())

    def _lined_up(self, op: HwOp) -> set[str]:
        """Memories whose channels lie side by side because of this operator."""
        found: set[str] = set()
        memory = self.memory
        if op.kind == "HOST":
            found.update(memory[name] for name in op.inputs)
        if op.kind == "CONCATENATION" and (len(op.shape) != 4 or op.extra[0] == 3):
            at = 0
            for name in op.inputs:
                if at % 16:
                    found.add(op.name)
                at += self.made[name].shape[-1]
        if op.kind in _PLAIN[self.family] or (op.kind == "MEMORY_COPY" and op.bits > 8 and self.family != "u85"):
            found.update(memory[name] for name in (op.name, *op.inputs))
        if op.kind == "RESIZE_BILINEAR" and self.family != "u85":
            found.add(memory[op.name])
        if op.kind == "MEAN" and sums_channels(op, self.made[op.inputs[0]]):
            found.add(memory[op.inputs[0]])
        if op.kind == "CONV_2D" and op.groups > 1:
            found.add(memory[self.unpadded(op.inputs[0])])
            if op.shape[-1] // op.groups % 16:
                found.add(self.grouped_output(op))
        if op.kind in ("SLICE", "STRIDED_SLICE") and op.extra[0] == len(op.shape) - 1:
            found.add(memory[op.inputs[0]])
        return found

    def _refolded(self) -> set[str]:
        """Memories that are read or written as maps of several shapes."""
        found: set[str] = set()
        first: dict[str, tuple[int, ...]] = {}
        home, views, size, memory = self.home, self.views, self.size, self.memory
        whole = {op.name for op in self.ops if self._straight(op)} if home or views else self.made
        for op in self.ops:
            # what is looked up is mostly part of what makes its input
            if op.kind in ("INPUT", "HOST") or op.name in views or op.kind in LOOKED_UP:
                continue
            kind = "LUT" if op.kind == "MEMORY_COPY" else OPS.get(op.kind, "")  # both are turned alike
            turns = self.is_shallow(op) and (kind in TURNED or op.act != "NONE")
            folds = op.kind == "FULLY_CONNECTED" or is_batched(op)
            for name in (*op.inputs, op.name):
                if name not in whole:
                    continue
                shape = size[name if self.made[name].kind != "PAD" else self.unpadded(name)]
                if folds:
                    shape = squared(Map(*shape))[:3]
                if turns and (name == op.name or (kind in TURNED and prod(shape) > 1)):
                    shape = deepened(Map(*shape))[:3]
                if first.setdefault(memory[name], shape[1:]) != shape[1:]:
                    found.add(memory[name])
        return found

    def _straight(self, op: HwOp) -> bool:
        """Whether what is read is a memory of its own, folded in another way or not."""
        while op.kind == "RESHAPE":
            op = self.made[op.inputs[0]]
        return op.name not in self.home and op.name not in self.views

    def grouped_output(self, op: HwOp) -> str:
        return f"{op.name}_act" if op.act != "NONE" else self.memory[op.name]

    # ---- maps ----

    def map_of(self, name: str) -> Map:
        """The map a reader of `name` sees."""
        return self.maps[name]

    def unpadded(self, name: str) -> str:
        """What a convolution reads of its input: padding is its own."""
        while self.made[name].kind == "PAD":
            name = self.made[name].inputs[0]
        return name

    def input_name(self, name: str) -> str:
        """Name of the memory a reader reads."""
        return self.memory[name]

    def output(self, op: HwOp) -> tuple[str, Map, Map | None]:
        """Memory, map and, where it is a part of another one, the whole map an operator writes."""
        name = self.memory[op.name]
        ofm = self.maps[op.name]
        whole = Map(*self.size[name], ofm.bricks, op.bits) if name != op.name else None
        return name, ofm, whole

    def is_shallow(self, op: HwOp) -> bool:
        """Whether elementwise work on this operator's output turns the map to have more channels."""
        if self.size[op.name][2] >= _SHALLOW:
            return False
        sliced = op.name in self.home or (
            op.weight is None and any(self.made[name].kind in ("SLICE", "STRIDED_SLICE") for name in op.inputs)
        )
        shapes = {self.made[name].shape for name in op.inputs if self.made[name].elements > 1}
        each = op.const is not None and constant_of(op, Map(*self.size[op.name])).elements > 1
        return op.elements > 2 * _SHALLOW and not sliced and len(shapes) < 2 and not each


def is_batched(op: HwOp) -> bool:
    """Whether a convolution of a whole batch is a product of matrices."""
    return op.kind == "CONV_2D" and op.shape[0] > 1 and (*op.kernel, *op.stride, op.groups) == (1, 1, 1, 1, 1)


def squared(shape: Map) -> Map:
    """The rows of a fully connected layer's matrix, stood as near to a square as they divide."""
    n = shape.height * shape.width
    width = max(n // 16, ceil(sqrt(n)))
    while n % width:
        width += 1
    return shape._replace(height=n // width, width=width)


def sums_channels(op: HwOp, source: HwOp) -> bool:
    """Whether a mean is over channels, too."""
    return len(source.shape) - 1 in op.extra[1:]


def _folded(shape: Sequence[int]) -> list[int]:
    first = next((k for k, n in enumerate(shape) if n > 1), len(shape))
    return list(shape[first:])


def deepened(shape: Map) -> Map:
    """A shallow map as elementwise work sees it: its smallest prime factors, up to 16 and more, become the channels."""
    factors, rest, n = [], shape.elements, 2
    while n * n <= rest:
        while rest % n == 0:
            factors.append(n)
            rest //= n
        n += 1
    factors += [rest] if rest > 1 else []
    channels = height = width = 1
    for factor in factors:
        if channels < _SHALLOW * 2:
            channels *= factor
        elif width < height:
            width *= factor
        else:
            height *= factor
    return shape._replace(height=max(height, width), width=min(height, width), channels=channels)


def constant_of(op: HwOp, ofm: Map) -> Map:
    """The map of a constant operand: a scalar, one value a channel, or one an element."""
    assert op.const is not None
    elements = {"scalar": 1, "value": op.extra[0] if op.extra else 1}.get(op.const[0], ofm.channels)
    if op.const[0] != "full" and elements in (1, ofm.channels):
        return Map(1, 1, elements, False, ofm.bits)
    return ofm._replace(bricks=False)
