"""Graph -> the network as deployed: int8 TFLite operators, channels last.

The rules are those of the deployment route users take (litert-torch, then ai-edge-quantizer), read off its files:

* batch norms fold into the convolution before them; one that has none becomes SUB, MUL, MUL, ADD;
* ReLU and ReLU6 fuse into what makes their input; hard-sigmoid behind a convolution becomes a ReLU6 of the
  shifted bias and a MUL by 1/6; swish is LOGISTIC and MUL; hard-swish stays one operator;
* torch's symmetric padding is SAME where TensorFlow's formula gives the same, else an explicit PAD before a VALID
  operator (PADV2 before a max pool);
* tensors of rank four stand channels last; permutes that undo this vanish, reshapes that need torch's order are
  preceded by a TRANSPOSE;
* a concatenation's inputs share its scale: an input that others read too, or whose maker cannot rescale, is
  requantised first (see `quantisation.py`).

A kind without a rule becomes "UNSUPPORTED:<kind>": the estimator lists it, the writer refuses it.
"""

from dataclasses import dataclass, replace
from math import prod

from ..graph import Graph, Op

__all__ = ["HwOp", "lower", "unsupported"]

Shape = tuple[int, ...]


@dataclass(frozen=True)
class HwOp:
    """One operator of the deployed file and the tensor it makes.

    kind: TFLite's name ("CONV_2D"), "INPUT", or "UNSUPPORTED:<kind>". shape: as deployed (channels last).
    weight: OHWI (depthwise: 1HWC; fully connected: OI); None without weights. act: fused activation, "NONE",
    "RELU" or "RELU6". stride, dilation: (h, w). same: SAME padding, else VALID. const: a second operand that is
    constant, as (what, value): ("scalar", 0.5) or ("mean" | "rsqrt" | "weight" | "bias" | "value", name of the
    graph operator that owns it). extra: what else the file's options need (pads, axes, borders,
    sizes), or the elements of a constant "value".
    sources: graph operators it stands for; the first one is charged for it.
    """

    name: str
    kind: str
    inputs: tuple[str, ...]
    shape: Shape
    sources: tuple[str, ...]
    weight: Shape | None = None
    groups: int = 1
    bias: bool = False
    act: str = "NONE"
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    kernel: tuple[int, int] = (1, 1)
    same: bool = False
    const: tuple[str, object] | None = None
    extra: tuple[int, ...] = ()
    folds: tuple[str, ...] = ()

    @property
    def elements(self) -> int:
        return prod(self.shape)

    @property
    def macs(self) -> int:
        """Multiply-accumulates (one counts as one)."""
        if self.weight is None:
            return 0
        if self.kind == "DEPTHWISE_CONV_2D":
            return self.elements * self.weight[1] * self.weight[2]
        return self.elements * prod(self.weight[1:])


def lower(graph: Graph) -> tuple[HwOp, ...]:
    """The deployed network's operators in execution order, inputs first."""
    return _Lowering(graph).run()


def unsupported(ops: tuple[HwOp, ...]) -> tuple[str, ...]:
    """Graph operators no rule is known for, as "kind path"."""
    return tuple(f"{op.kind.partition(':')[2]} {op.sources[0]}" for op in ops if op.kind.startswith("UNSUPPORTED"))


_FUSED = {"relu": "RELU", "relu6": "RELU6"}
_UNARY = {
    "relu": "RELU",
    "relu6": "RELU6",
    "hard_swish": "HARD_SWISH",
    "sigmoid": "LOGISTIC",
    "tanh": "TANH",
    "leaky_relu": "LEAKY_RELU",
    "gelu": "GELU",
    "exp": "EXP",
    "abs": "ABS",
}
_BINARY = {"add": "ADD", "sub": "SUB", "mul": "MUL", "maximum": "MAXIMUM", "minimum": "MINIMUM"}
_REDUCE = {"mean": "MEAN", "sum": "SUM", "amax": "REDUCE_MAX"}


def _last(shape: Shape) -> Shape:
    """Channels last, for maps (rank 4)."""
    return (shape[0], shape[2], shape[3], shape[1]) if len(shape) == 4 else shape


class _Lowering:
    """One pass; `at` maps a graph tensor to the deployed one, `plain` holds rank-4 tensors in torch's own order."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.out: list[HwOp] = []
        self.at: dict[str, str] = {}
        self.plain: set[str] = set()
        self.done: set[str] = set()

    def run(self) -> tuple[HwOp, ...]:
        for op in self.graph.ops:
            if op.name in self.done or op.kind == "param":
                continue
            rule = getattr(self, f"_{op.kind}", None)
            if op.kind in _UNARY:
                self._unary(op)
            elif op.kind in _BINARY:
                self._binary(op)
            elif op.kind in _REDUCE:
                self._reduce(op)
            elif rule is not None:
                rule(op)
            else:
                self._unknown(op)
        return tuple(self.out)

    # ---- the pieces rules are made of -------------------------------------------------------------------------

    def _emit(self, op: HwOp) -> str:
        self.out.append(op)
        return op.name

    def _only_user(self, op: Op) -> Op | None:
        users = self.graph.consumers[op.name]
        return users[0] if len(users) == 1 and op.name not in self.graph.outputs else None

    def _activation(self, op: Op) -> tuple[Op, str]:
        """The activation that fuses into `op`, and the graph operator whose tensor results."""
        user = self._only_user(op)
        if user is not None and user.kind in _FUSED:
            self.done.add(user.name)
            return user, _FUSED[user.kind]
        return op, "NONE"

    def _map(self, name: str) -> str:
        """The deployed tensor in channels-last order."""
        if name in self.plain:
            shape = self.graph.by_name[name].shape
            if len(shape) == 4 and prod(shape[1:]) != max(shape[1:]):
                moved = HwOp(f"{name}.nhwc", "TRANSPOSE", (self.at[name],), _last(shape), (name,), extra=(0, 2, 3, 1))
                if not any(o.name == moved.name for o in self.out):
                    self._emit(moved)
                return moved.name
        return self.at[name]

    def _torch_order(self, name: str) -> str:
        """The deployed tensor in torch's order."""
        shape = self.graph.by_name[name].shape
        if len(shape) == 4 and name not in self.plain and prod(shape[1:]) != max(shape[1:]):
            moved = HwOp(f"{name}.nchw", "TRANSPOSE", (self.at[name],), shape, (name,), extra=(0, 3, 1, 2))
            if not any(o.name == moved.name for o in self.out):
                self._emit(moved)
            return moved.name
        return self.at[name]

    def _shape(self, op: Op) -> Shape:
        return op.shape if op.name in self.plain else _last(op.shape)

    def _follow(self, op: Op) -> None:
        """An elementwise result stands in the order of its first rank-4 operand."""
        if len(op.shape) == 4 and any(i in self.plain and len(self.graph.by_name[i].shape) == 4 for i in op.inputs):
            self.plain.add(op.name)

    def _operand(self, op: Op, name: str) -> str:
        if len(op.shape) == 4 and len(self.graph.by_name[name].shape) == 4:
            return self._torch_order(name) if op.name in self.plain else self._map(name)
        return self.at[name]

    def _axis(self, op: Op, axis: int, tensor: str) -> int:
        rank = len(self.graph.by_name[tensor].shape)
        axis %= rank
        return axis if rank != 4 or tensor in self.plain else (0, 3, 1, 2)[axis]

    def _finish(self, op: Op, name: str) -> None:
        self.at[op.name] = name

    def _unknown(self, op: Op) -> None:
        inputs = tuple(self.at[i] for i in op.inputs if i in self.at)
        self._finish(op, self._emit(HwOp(op.name, f"UNSUPPORTED:{op.kind}", inputs, _last(op.shape), (op.name,))))

    # ---- rules ------------------------------------------------------------------------------------------------

    def _input(self, op: Op) -> None:
        self._finish(op, self._emit(HwOp(op.name, "INPUT", (), _last(op.shape), (op.name,))))

    def _conv2d(self, op: Op) -> None:
        weight = op.param("weight")
        if weight is None:
            self._unknown(op)
            return
        o, i, kh, kw = weight.shape
        x = self._map(op.inputs[0])
        source = self.graph.by_name[op.inputs[0]].shape
        same = _is_same(source[2:], op["kernel"], op["stride"], op["padding"], op["dilation"])
        if not same and any(op["padding"]):
            ph, pw = op["padding"]
            x = self._pad_map(op, x, _last(source), (ph, ph, pw, pw), "PAD")
        depthwise = op.is_depthwise
        self._layer(
            op,
            HwOp(
                op.name,
                "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D",
                (x,),
                _last(op.shape),
                (op.name,),
                weight=(1, kh, kw, o) if depthwise else (o, kh, kw, i),
                groups=op["groups"],
                stride=op["stride"],
                dilation=op["dilation"],
                kernel=(kh, kw),
                same=same and any(op["padding"]),
            ),
        )

    def _linear(self, op: Op) -> None:
        weight = op.param("weight")
        if weight is None:
            self._unknown(op)
            return
        if len(op.shape) == 4:
            self.plain.add(op.name)
        x = self._torch_order(op.inputs[0]) if len(op.shape) == 4 else self.at[op.inputs[0]]
        self._layer(op, HwOp(op.name, "FULLY_CONNECTED", (x,), op.shape, (op.name,), weight=weight.shape))

    def _layer(self, op: Op, layer: HwOp) -> None:
        """Fold a batch norm, a bias and an activation into a convolution or fully connected layer."""
        bias, folds, last = op.param("bias") is not None, [op.name], op
        user = self._only_user(op)
        if user is not None and user.kind == "batch_norm":
            folds.append(user.name)
            self.done.add(user.name)
            bias, last = True, user
        user = self._only_user(last)
        if user is not None and user.kind == "hard_sigmoid":
            self.done.add(user.name)
            folds.append(user.name)
            layer = replace(layer, name=f"{user.name}.relu6", act="RELU6", bias=True, folds=tuple(folds))
            clipped = self._emit(replace(layer, sources=tuple(folds)))
            self._scaled(user, clipped, layer.shape)
            return
        last, act = self._activation(last)
        if act != "NONE":
            folds.append(last.name)
        if op.name in self.plain:
            self.plain.update(folds)
        layer = replace(layer, name=last.name, act=act, bias=bias, folds=tuple(folds), sources=tuple(folds))
        for name in folds:
            self.at[name] = layer.name
        self._emit(layer)

    def _scaled(self, op: Op, x: str, shape: Shape) -> None:
        """X / 6, the tail of a hard-sigmoid."""
        self._finish(op, self._emit(HwOp(op.name, "MUL", (x,), shape, (op.name,), const=("scalar", 1 / 6))))

    def _hard_sigmoid(self, op: Op) -> None:
        self._follow(op)
        shifted = HwOp(
            f"{op.name}.relu6", "ADD", (self.at[op.inputs[0]],), self._shape(op), (op.name,),
            act="RELU6", const=("scalar", 3.0),
        )  # fmt: skip
        self._scaled(op, self._emit(shifted), self._shape(op))

    def _batch_norm(self, op: Op) -> None:
        x, shape = self._map(op.inputs[0]), _last(op.shape)
        for kind, what in (("SUB", "mean"), ("MUL", "rsqrt"), ("MUL", "weight")):
            x = self._emit(HwOp(f"{op.name}.{what}", kind, (x,), shape, (op.name,), const=(what, op.name)))
        last, act = self._activation(op)
        self.at[op.name] = self.at[last.name] = self._emit(
            HwOp(last.name, "ADD", (x,), shape, (op.name, last.name), act=act, const=("bias", op.name))
        )

    def _unary(self, op: Op) -> None:
        self._follow(op)
        const = ("alpha", op["slope"]) if op.kind == "leaky_relu" else None
        x = self.at[op.inputs[0]]
        self._finish(op, self._emit(HwOp(op.name, _UNARY[op.kind], (x,), self._shape(op), (op.name,), const=const)))

    def _silu(self, op: Op) -> None:
        self._follow(op)
        x, shape = self.at[op.inputs[0]], self._shape(op)
        gate = self._emit(HwOp(f"{op.name}.logistic", "LOGISTIC", (x,), shape, (op.name,)))
        self._finish(op, self._emit(HwOp(op.name, "MUL", (x, gate), shape, (op.name,))))

    def _binary(self, op: Op) -> None:
        self._follow(op)
        const: tuple[str, object] | None = None
        params = [i for i in op.inputs if self.graph.by_name[i].kind == "param"]
        names = [i for i in op.inputs if i not in params]
        if op.get("scalar") is not None:
            const = ("scalar", op["scalar"])
        elif params:
            const = ("value", params[0])
        if not names or (op.get("reverse") and op.kind == "sub"):
            self._unknown(op)
            return
        inputs = tuple(self._operand(op, i) for i in names)
        last, act = self._activation(op)
        shape = self._shape(op)
        if op.name in self.plain:
            self.plain.add(last.name)
        self.at[op.name] = self.at[last.name] = self._emit(
            HwOp(
                last.name,
                _BINARY[op.kind],
                inputs,
                shape,
                tuple(dict.fromkeys((op.name, last.name))),
                act=act,
                const=const,
                extra=(self.graph.by_name[params[0]].elements,) if const and const[0] == "value" else (),
            )
        )

    def _div(self, op: Op) -> None:
        if op.get("scalar") and not op.get("reverse"):
            self._follow(op)
            x = self.at[op.inputs[0]]
            scaled = HwOp(op.name, "MUL", (x,), self._shape(op), (op.name,), const=("scalar", 1 / op["scalar"]))
            self._finish(op, self._emit(scaled))
        else:
            self._unknown(op)

    def _reduce(self, op: Op) -> None:
        source = op.inputs[0]
        axes = tuple(sorted(self._axis(op, a, source) for a in op["axes"]))
        last, shape, keep = op, op.shape, int(op["keepdim"])
        user = self._only_user(op)
        if keep and user is not None and user.kind == "reshape" and len(user.shape) == 2:
            self.done.add(user.name)
            last, shape, keep = user, user.shape, 0
        if len(shape) == 4 and source in self.plain:
            self.plain.add(last.name)
        deployed = shape if last.name in self.plain else _last(shape)
        name = self._emit(
            HwOp(last.name, _REDUCE[op.kind], (self.at[source],), deployed, (op.name,), extra=(keep, *axes))
        )
        self.at[op.name] = self.at[last.name] = name

    def _max_pool2d(self, op: Op) -> None:
        self._pool(op, "MAX_POOL_2D", "PADV2")

    def _avg_pool2d(self, op: Op) -> None:
        self._pool(op, "AVERAGE_POOL_2D", "PAD")

    def _pool(self, op: Op, kind: str, pad: str) -> None:
        x, source = self._map(op.inputs[0]), self.graph.by_name[op.inputs[0]].shape
        same = _is_same(source[2:], op["kernel"], op["stride"], op["padding"], (1, 1))
        if any(d != 1 for d in op.get("dilation") or (1, 1)):
            self._unknown(op)
            return
        # torch pads both sides alike; a ceiling may need more behind
        after = [
            max(
                op["padding"][i],
                (op.shape[2 + i] - 1) * op["stride"][i] + op["kernel"][i] - source[2 + i] - op["padding"][i],
            )
            for i in (0, 1)
        ]
        if not same and (any(op["padding"]) or any(after)):
            (ph, pw), (ah, aw) = op["padding"], after
            x = self._pad_map(op, x, _last(source), (ph, ah, pw, aw), pad)
            same = False
        pool = HwOp(op.name, kind, (x,), _last(op.shape), (op.name,), stride=op["stride"], kernel=op["kernel"])
        self._finish(op, self._emit(replace(pool, same=same and any(op["padding"]))))

    def _adaptive_avg_pool2d(self, op: Op) -> None:
        size, out = self.graph.by_name[op.inputs[0]].shape[2:], op.shape[2:]
        if any(n % m for n, m in zip(size, out, strict=True)):
            self._unknown(op)
            return
        step = (size[0] // out[0], size[1] // out[1])
        x = self._map(op.inputs[0])
        pool = HwOp(op.name, "AVERAGE_POOL_2D", (x,), _last(op.shape), (op.name,), stride=step, kernel=step)
        self._finish(op, self._emit(pool))

    def _concat(self, op: Op) -> None:
        if any(i in self.plain for i in op.inputs) and len(op.shape) == 4:
            self.plain.add(op.name)
        inputs = tuple(self._operand(op, i) for i in op.inputs)
        axis = self._axis(op, op["axis"], op.name)
        self._finish(op, self._emit(HwOp(op.name, "CONCATENATION", inputs, self._shape(op), (op.name,), extra=(axis,))))

    def _slice(self, op: Op) -> None:
        source = op.inputs[0]
        if source in self.plain and len(op.shape) == 4:
            self.plain.add(op.name)
        axis = self._axis(op, op["axis"], source)
        kind = "SLICE" if op["step"] == 1 else "STRIDED_SLICE"
        cut = (axis, op["start"], min(op["stop"], self.graph.by_name[source].shape[op["axis"]]), op["step"])
        self._finish(op, self._emit(HwOp(op.name, kind, (self.at[source],), self._shape(op), (op.name,), extra=cut)))

    def _pad(self, op: Op) -> None:
        if len(op.shape) != 4 or op.inputs[0] in self.plain or any(any(p) for p in op["pads"][:2]):
            self._unknown(op)
            return
        (top, bottom), (left, right) = op["pads"][2:]
        kind = "PADV2" if op.get("value") else "PAD"
        pads = (top, bottom, left, right)
        x = self.at[op.inputs[0]]
        self._finish(op, self._emit(HwOp(op.name, kind, (x,), _last(op.shape), (op.name,), extra=pads)))

    def _pad_map(self, op: Op, x: str, shape: Shape, pads: tuple[int, int, int, int], kind: str) -> str:
        n, h, w, c = shape
        padded = (n, h + pads[0] + pads[1], w + pads[2] + pads[3], c)
        return self._emit(HwOp(f"{op.name}.pad", kind, (x,), padded, (op.name,), extra=pads))

    def _resize(self, op: Op) -> None:
        kind = "RESIZE_BILINEAR" if "linear" in op["mode"] else "RESIZE_NEAREST_NEIGHBOR"
        x = self._map(op.inputs[0])
        self._finish(op, self._emit(HwOp(op.name, kind, (x,), _last(op.shape), (op.name,), extra=op.shape[2:])))

    def _reshape(self, op: Op) -> None:
        source = op.inputs[0]
        user = self._only_user(op)
        shape = self.graph.by_name[source].shape
        if len(op.shape) == 2 and user is not None and user.kind == "linear" and prod(shape) == shape[1] * shape[0]:
            self.at[op.name] = self.at[source]  # a 1x1 map goes into the fully connected layer as it is
            return
        x = self._torch_order(source)
        if len(op.shape) == 4:
            if op.shape[2:] == (1, 1):  # both orders are the same bytes
                self._finish(op, self._emit(HwOp(op.name, "RESHAPE", (x,), _last(op.shape), (op.name,))))
                return
            self.plain.add(op.name)
        self._finish(op, self._emit(HwOp(op.name, "RESHAPE", (x,), op.shape, (op.name,))))

    def _permute(self, op: Op) -> None:
        source, axes = op.inputs[0], tuple(op["axes"])
        inner = (0, 2, 3, 1) if len(axes) == 4 and source not in self.plain else tuple(range(len(axes)))
        wanted = tuple(inner.index(a) for a in axes)  # from the deployed order to torch's order of the result
        if len(axes) == 4 and tuple(wanted[i] for i in (0, 2, 3, 1)) == (0, 1, 2, 3):
            self.at[op.name] = self.at[source]
            return
        if len(axes) == 4:
            self.plain.add(op.name)
        if wanted == tuple(range(len(axes))):
            self.at[op.name] = self.at[source]
            return
        self._finish(op, self._emit(HwOp(op.name, "TRANSPOSE", (self.at[source],), op.shape, (op.name,), extra=wanted)))

    def _softmax(self, op: Op) -> None:
        if self._axis(op, op["axis"], op.inputs[0]) != len(op.shape) - 1:
            self._unknown(op)
            return
        self._follow(op)
        self._finish(op, self._emit(HwOp(op.name, "SOFTMAX", (self.at[op.inputs[0]],), self._shape(op), (op.name,))))

    def _matmul(self, op: Op) -> None:
        if any(i not in self.at for i in op.inputs):
            self._unknown(op)
            return
        if len(op.shape) == 4:
            self.plain.add(op.name)
        inputs = tuple(self._torch_order(i) for i in op.inputs)
        self._finish(op, self._emit(HwOp(op.name, "BATCH_MATMUL", inputs, op.shape, (op.name,))))


def _is_same(size: Shape, kernel: Shape, stride: Shape, padding: Shape, dilation: Shape) -> bool:
    """Whether TensorFlow's SAME rule pads exactly as torch's symmetric padding does (both axes)."""
    for n, k, s, p, d in zip(size, kernel, stride, padding, dilation, strict=True):
        span = (k - 1) * d + 1
        out = -(-n // s)
        total = max((out - 1) * s + span - n, 0)
        if (total // 2, total - total // 2) != (p, p) or (n + 2 * p - span) // s + 1 != out:
            return False
    return True
