"""The nodes of an exported program -> operators.

A node that computes on parameters and constants only is folded into its consumer; an identity hands its input on; what
is left becomes one Op by the rules of `aten.py`.

In-place operators are followed the way torch does: every name of the written tensor means the new value from
then on. Values that share its memory in another shape become stale, and reading one is refused, because the
graph cannot say what it holds.
"""

import operator
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

import torch
from torch import Tensor, fx
from torch.utils import _pytree as pytree

from ...errors import TraceError
from ..aten import ELEMENTWISE, PARAMETERS, PASS_THROUGH, RULES, VIEWS
from ..ir import Op, Param

__all__ = ["Tracer"]


@dataclass(eq=False)
class _Storage:
    version: int = 0


@dataclass(eq=False)
class _Value:
    """A feature map: the operator that makes it, and the memory it stands in (views share one)."""

    name: str
    shape: tuple[int, ...]
    storage: _Storage = field(default_factory=_Storage)
    version: int = 0


@dataclass(eq=False)
class _Constant:
    """Computed from parameters, buffers and literals only. key: its state_dict key where it is one itself."""

    name: str
    shape: tuple[int, ...]
    module: str
    roots: tuple[str, ...] = ()
    key: str = ""
    number: float | None = None
    view: bool = False


@dataclass(eq=False)
class _Pieces:
    """What split, chunk and unbind make; every piece becomes an operator when it is taken."""

    source: Any
    axis: int
    sizes: tuple[tuple[int, ...], ...]
    drop: bool


class Tracer:
    """Operators from one exported program; model, paths: its class name and its modules."""

    def __init__(self, model: str, paths: frozenset[str]) -> None:
        self.model = model
        self.paths = paths
        self.ops: list[Op] = []
        self._taken: set[str] = set()
        self._params: dict[str, _Value] = {}

    def run(self, exported: torch.export.ExportedProgram) -> tuple[str, ...]:
        """Fill `ops` and name the outputs."""
        signature = exported.graph_signature
        keys = {
            **signature.inputs_to_parameters,
            **signature.inputs_to_buffers,
            **signature.inputs_to_lifted_tensor_constants,
        }
        env: dict[fx.Node, Any] = {}
        for node in exported.graph.nodes:
            if node.op != "placeholder":
                continue
            value = node.meta.get("val")
            if node.name in keys:
                key = keys[node.name]
                number = None
                if node.name in signature.inputs_to_lifted_tensor_constants:
                    held = exported.constants[key]
                    number = held.item() if held.numel() == 1 and held.dim() == 0 else None
                env[node] = _Constant(node.name, tuple(value.shape), self._known(key), (key,), key, number)
            elif isinstance(value, Tensor):
                env[node] = self._emit(node.name, "input", (), tuple(value.shape))
            else:
                env[node] = value
        flat, _ = pytree.tree_flatten(self._walk(exported.graph_module, env))
        values = [v for v in flat if isinstance(v, _Value | _Constant)]
        if not values:
            raise TraceError(f"{self.model} returns no tensor")
        return tuple(self._read(v) for v in values)

    def _walk(self, module: fx.GraphModule, env: dict[fx.Node, Any]) -> Any:
        for node in module.graph.nodes:
            if node.op == "output":
                return fx.node.map_arg(node.args[0], env.__getitem__)
            if node.op == "get_attr":
                env[node] = operator.attrgetter(str(node.target))(module)
            elif node.op == "call_function":
                env[node] = self._call(node, env)
        return ()

    def _call(self, node: fx.Node, env: Mapping[fx.Node, Any]) -> Any:
        args: Any = fx.node.map_arg(node.args, env.__getitem__)
        kwargs: Any = fx.node.map_arg(node.kwargs, env.__getitem__)
        if node.target is operator.getitem:
            return self._piece(node, *args)
        body = next((a for a in args if isinstance(a, fx.GraphModule)), None)
        if body is not None:  # wrap_with_autocast and its like: the body runs as it stands
            inner = [n for n in body.graph.nodes if n.op == "placeholder"]
            outer = args[args.index(body) + 1 :]
            return self._walk(body, dict(zip(inner, outer, strict=True)))
        schema = getattr(node.target, "_schema", None)
        if schema is None:
            raise TraceError(f"{self.model} uses {node.target}, which is not an operator of the graph")
        given = {a.name: v for a, v in zip(schema.arguments, args, strict=False)} | kwargs
        # in the order of the schema, which is the order of the inputs: an attention's mask stands behind its value
        bound = {
            a.name: given.get(a.name, a.default_value if a.has_default_value() else None) for a in schema.arguments
        }
        if not schema.returns:
            return None  # assertions
        leaves = list(_tensors(bound.values()))
        if not any(isinstance(v, _Value) for v in leaves):
            return self._constant(node, leaves)
        return self._operator(node, bound)

    def _constant(self, node: fx.Node, leaves: list[Any]) -> Any:
        value = node.meta.get("val")
        roots = tuple(dict.fromkeys(root for leaf in leaves for root in leaf.roots))
        module = self._known(roots[0]) if roots else self._module(node)
        base = _base(node)
        if isinstance(value, list | tuple):
            return tuple(
                _Constant(f"{node.name}_{i}", tuple(v.shape), module, roots, view=True) for i, v in enumerate(value)
            )
        if not isinstance(value, Tensor):
            return value
        shape = tuple(value.shape)
        if leaves and base in PASS_THROUGH and shape == leaves[0].shape:
            return leaves[0]
        # the same values in another shape are still that parameter, with its key
        key = leaves[0].key if base in VIEWS and prod(shape) == prod(leaves[0].shape) else ""
        return _Constant(node.name, shape, module, roots, key, view=base in VIEWS)

    def _operator(self, node: fx.Node, bound: dict[str, Any]) -> Any:
        base, out = _base(node), node.meta["val"]
        in_place = base.endswith("_") and not base.startswith("_")
        plain = base.rstrip("_") if in_place else base
        subject = next(_tensors(bound.values()))
        if plain in PASS_THROUGH and self._same_type(node):
            return _Value(self._read(subject), subject.shape) if plain == "clone" else subject
        if in_place and isinstance(subject, _Constant) and subject.view:
            raise TraceError(f"{self.model} writes into a slice of a constant ({self._module(node) or plain})")
        if isinstance(out, list | tuple):
            return self._many(node, plain, bound, out)
        shape = tuple(out.shape)
        if plain == "copy" and subject.shape == bound["src"].shape:
            return self._written(subject, self._read(bound["src"]))
        made = self._single(node, plain, bound, shape)
        if in_place:
            return self._written(subject, made.name)
        if plain in VIEWS and made is not subject and isinstance(subject, _Value):
            made.storage, made.version = subject.storage, subject.version
        return made

    def _single(self, node: fx.Node, base: str, bound: dict[str, Any], shape: tuple[int, ...]) -> _Value:
        module = self._module(node)
        if base in VIEWS and base != "select":  # reshape_as and expand_as read only the shape of the other
            bound = {k: v for k, v in bound.items() if k == "self" or not isinstance(v, _Value | _Constant)}
        if base in ("expand", "expand_as"):
            users = [user for user in node.users if user.op == "call_function"]
            if shape == bound["self"].shape or all(_base(user) in ELEMENTWISE for user in users):
                return bound["self"]
        if base == "select":
            source, axis = bound["self"], bound["dim"] % len(bound["self"].shape)
            return self._select(node.name, source, axis, bound["index"] % source.shape[axis], 1, True, module)
        if base == "stack":
            return self._stack(node, bound, shape, module)
        roles = PARAMETERS.get(base, ())
        params = {role: bound[role] for role in roles if isinstance(bound.get(role), _Constant)}
        dynamic = any(isinstance(bound.get(role), _Value) for role in roles)
        for name, value in bound.items():
            if isinstance(value, _Constant) and value.number is not None and name in ("self", "other"):
                bound = {**bound, name: value.number}
        found = None
        if base in RULES and not dynamic:
            found = RULES[base](pytree.tree_map(lambda v: getattr(v, "shape", v), bound), shape)
        if found is None:
            params = {}
            found = f"{_namespace(node)}.{base}", _plain_attrs(bound)
        kind, attrs = found
        values = list(_tensors(v for name, v in bound.items() if name not in params))
        if _changes_nothing(kind, attrs, values, shape):
            return values[0] if base in VIEWS else _Value(self._read(values[0]), shape)
        names = tuple(self._read(v) for v in values)
        return self._emit(node.name, kind, names, shape, attrs, self._parameters(params, module), module)

    def _parameters(self, params: Mapping[str, _Constant], module: str) -> tuple[Param, ...]:
        # a weight that is computed (standardised, say) has the path the layer would keep it at
        return tuple(
            Param(role, c.key or f"{module}.{role}", c.shape, computed=not c.key) for role, c in params.items()
        )

    # ---- pieces -----------------------------------------------------------------------------------------------

    def _many(self, node: fx.Node, base: str, bound: dict[str, Any], out: Iterable[Tensor]) -> Any:
        shapes = tuple(tuple(t.shape) for t in out)
        if base in ("split", "split_with_sizes", "chunk", "unbind", "tensor_split"):
            source = bound["self"]
            return _Pieces(source, bound["dim"] % len(source.shape), shapes, base == "unbind")
        names = tuple(self._read(v) for v in _tensors(bound.values()))
        kind, attrs, module = f"{_namespace(node)}.{base}", _plain_attrs(bound), self._module(node)
        return tuple(
            self._emit(f"{node.name}_{i}", kind, names, shape, {**attrs, "output": i}, (), module)
            for i, shape in enumerate(shapes)
        )

    def _piece(self, node: fx.Node, source: Any, index: Any) -> Any:
        if not isinstance(source, _Pieces):
            return source[index]
        index %= len(source.sizes)
        sizes = [1 if source.drop else shape[source.axis] for shape in source.sizes]
        start, module = sum(sizes[:index]), self._module(node)
        made = self._select(node.name, source.source, source.axis, start, sizes[index], source.drop, module)
        if made is not source.source:
            made.storage, made.version = source.source.storage, source.source.version
        return made

    def _select(self, name: str, source: Any, axis: int, start: int, size: int, drop: bool, module: str) -> _Value:
        """A slice of `size` along `axis`; with `drop` the axis goes too."""
        shape = list(source.shape)
        read, cut = self._read(source), source
        if size != shape[axis]:
            shape[axis] = size
            attrs = {"axis": axis, "start": start, "stop": start + size, "step": 1}
            label = f"{name}_slice" if drop else name
            cut = self._emit(label, "slice", (read,), tuple(shape), attrs, (), module)
        if not drop:
            return cut
        dims = tuple((d,) for d in range(len(shape)) if d != axis)
        shape.pop(axis)
        return self._emit(name, "reshape", (self._read(cut),), tuple(shape), {"dims": dims}, (), module)

    def _stack(self, node: fx.Node, bound: Mapping[str, Any], shape: tuple[int, ...], module: str) -> _Value:
        axis, parts = bound["dim"] % len(shape), []
        for i, value in enumerate(bound["tensors"]):
            dims: list[tuple[int, ...]] = [(d,) for d in range(len(value.shape))]
            dims.insert(axis, ())
            one = (*value.shape[:axis], 1, *value.shape[axis:])
            made = self._emit(
                f"{node.name}_{i}", "reshape", (self._read(value),), one, {"dims": tuple(dims)}, (), module
            )
            parts.append(made.name)
        return self._emit(node.name, "concat", tuple(parts), shape, {"axis": axis}, (), module)

    # ---- names and values -------------------------------------------------------------------------------------

    def _emit(
        self,
        name: str,
        kind: str,
        inputs: tuple[str, ...],
        shape: tuple[int, ...],
        attrs: Mapping[str, Any] | None = None,
        params: tuple[Param, ...] = (),
        module: str = "",
    ) -> _Value:
        unique, n = name, 1
        while unique in self._taken:
            unique, n = f"{name}_{n}", n + 1
        self._taken.add(unique)
        shape = tuple(int(d) for d in shape)
        self.ops.append(Op(unique, kind, inputs, shape, tuple(sorted((attrs or {}).items())), params, module))
        return _Value(unique, shape)

    def _read(self, value: Any) -> str:
        """The name of the operator that makes the value; a constant becomes a `param` operator here."""
        if isinstance(value, _Constant):
            known = self._params.get(value.name)
            if known is None:
                key = value.key or f"{value.module}.{value.name}".lstrip(".")
                params = (Param("value", key, value.shape),)
                known = self._params[value.name] = self._emit(
                    value.name, "param", (), value.shape, {}, params, value.module
                )
            return known.name
        if value.version != value.storage.version:
            raise TraceError(f"{self.model} writes into part of a tensor it reads again (the one {value.name!r} makes)")
        return str(value.name)

    def _written(self, subject: Any, name: str) -> Any:
        if isinstance(subject, _Constant):
            return _Value(name, subject.shape)
        subject.storage.version += 1
        subject.name, subject.version = name, subject.storage.version
        return subject

    def _module(self, node: fx.Node) -> str:
        stack = node.meta.get("nn_module_stack") or {}
        path = next(reversed(list(stack.values())), ("", ""))[0]
        return self._known(re.sub(r"@\d+", "", path), whole=True)  # "@1": a module's second call

    def _known(self, path: str, whole: bool = False) -> str:
        """The deepest module on the path (of a state_dict key, or a module's own where `whole`)."""
        if not whole:
            path = path.rpartition(".")[0]
        while path and path not in self.paths:
            path = path.rpartition(".")[0]
        return path

    def _same_type(self, node: fx.Node) -> bool:
        """A conversion between number formats of one sort, which the deployed network does not have."""
        read = next((n.meta["val"] for n in node.all_input_nodes if isinstance(n.meta.get("val"), Tensor)), None)
        made = node.meta.get("val")
        if read is None or not isinstance(made, Tensor):
            return True
        return read.dtype == made.dtype or (read.is_floating_point() and made.is_floating_point())


def _base(node: fx.Node) -> str:
    packet = getattr(node.target, "overloadpacket", None)
    return packet.__name__ if packet is not None else str(node.target)


def _namespace(node: fx.Node) -> str:
    return str(getattr(node.target, "namespace", "call"))


def _tensors(values: Iterable[Any]) -> Iterator[Any]:
    """The feature maps and constants among the arguments, lists included, in their order."""
    for value in values:
        if isinstance(value, _Value | _Constant):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tensors(value)


def _plain_attrs(bound: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of an operator no rule knows, as far as they are plain values."""

    def plain(value: Any) -> Any:
        return tuple(map(plain, value)) if isinstance(value, list | tuple) else value

    attrs = {}
    for name, value in bound.items():
        if not any(True for _ in _tensors([value])) and value is not None:
            value = plain(value)
            attrs[name] = value if isinstance(value, bool | int | float | str | tuple) else str(value)
    return attrs


def _changes_nothing(kind: str, attrs: Mapping[str, Any], values: list[Any], shape: tuple[int, ...]) -> bool:
    if len(values) != 1 or values[0].shape != shape:
        return False
    if kind == "permute":
        return attrs["axes"] == tuple(range(len(shape)))
    if kind == "slice":
        return bool(attrs["step"] == 1)
    if kind == "pad":
        return not any(any(pair) for pair in attrs["pads"])
    if "scalar" in attrs:  # 1 / x is exported as a reciprocal times one
        return not attrs.get("reverse") and attrs["scalar"] == {"mul": 1, "div": 1, "add": 0, "sub": 0}.get(kind)
    return kind in ("reshape", "concat")
