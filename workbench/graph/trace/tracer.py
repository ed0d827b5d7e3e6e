"""The nodes of an exported program -> operators.

A node that computes on parameters and constants only is folded into its consumer; an identity hands its input on; what
is left becomes one Op by the rules of `aten.py`.

In-place operators are followed the way torch does: every name of the written tensor means the new value from
then on. Values that share its memory in another shape become stale, and reading one is refused, because the
graph cannot say what it holds.
"""

import operator
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from math import prod
from typing import Any

import torch
from torch import Tensor, fx
from torch.utils import _pytree as pytree

from ...errors import TraceError
from ..op import Op, Param
from .aten import BROADCASTING, OF_SHAPES, PARAMETERS, PASS_THROUGH, RULES, VIEWS
from .composites import COMPOSITES, FIRST_RESULTS
from .constituents import constituents
from .nodes import base_name, changes_nothing, keeps_number_sort, namespace, plain_arguments
from .steps import Steps
from .values import Constant, FeatureMap, Pieces, tensors

__all__ = ["Tracer"]

_SPLITS = ("split", "split_with_sizes", "unsafe_split", "chunk", "unbind", "tensor_split")
_WITH_RULES = frozenset((*RULES, *COMPOSITES, *PASS_THROUGH, *_SPLITS, "select", "stack", "copy"))


class Tracer:
    """Operators from one exported program.

    model: its class name, for errors. paths: of its modules. parameters: by every state_dict key one has, its first key
    and its shape. ops: the operators so far.
    """

    def __init__(
        self, model: str, paths: frozenset[str], parameters: Mapping[str, tuple[str, tuple[int, ...]]]
    ) -> None:
        self.model = model
        self.paths = paths
        self.parameters = parameters
        self.ops: list[Op] = []
        self._names: set[str] = set()
        self._operands: dict[str, FeatureMap] = {}  # of the constants that are operands

    def run(self, exported: torch.export.ExportedProgram) -> tuple[str, ...]:
        """Fill `ops` and name the outputs."""
        flat, _ = pytree.tree_flatten(self._walk(exported.graph_module, self._placeholders(exported)))
        values = [v for v in flat if isinstance(v, FeatureMap | Constant)]
        if not values:
            raise TraceError(f"{self.model} returns no tensor")
        return tuple(self._read(v) for v in values)

    def _placeholders(self, exported: torch.export.ExportedProgram) -> dict[fx.Node, Any]:
        """Inputs, parameters, buffers and constants by their nodes."""
        signature = exported.graph_signature
        lifted = signature.inputs_to_lifted_tensor_constants
        keys = {**signature.inputs_to_parameters, **signature.inputs_to_buffers, **lifted}
        env: dict[fx.Node, Any] = {}
        for node in exported.graph.nodes:
            if node.op != "placeholder":
                continue
            value = node.meta.get("val")
            if node.name in keys:
                key, number = keys[node.name], None
                if node.name in lifted:
                    tensor = exported.constants[key]
                    number = tensor.item() if tensor.numel() == 1 and tensor.dim() == 0 else None
                env[node] = Constant(node.name, tuple(value.shape), self._module_of_key(key), (key,), key, number)
            elif isinstance(value, Tensor):
                env[node] = self._emit(node.name, "input", (), tuple(value.shape))
            else:
                env[node] = value
        return env

    def _walk(self, module: fx.GraphModule, env: dict[fx.Node, Any]) -> Any:
        """Carry the nodes out on the values in `env`; returns what the module's output node holds."""
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
        values = {a.name: v for a, v in zip(schema.arguments, args, strict=False)} | kwargs
        # in the order of the schema, which is the order of the inputs: an attention's mask stands behind its value
        arguments = {
            a.name: values.get(a.name, a.default_value if a.has_default_value() else None) for a in schema.arguments
        }
        if not schema.returns:
            return None  # assertions
        leaves = list(tensors(arguments.values()))
        if base_name(node) in OF_SHAPES:
            return self._constant(node, [])
        if not any(isinstance(v, FeatureMap) for v in leaves):
            return self._constant(node, leaves)
        parts = None if _has_rule(node) else constituents(node)
        if parts is not None and all(_has_rule(part) for part in parts.graph.nodes if part.op == "call_function"):
            outer = (v for v in pytree.tree_leaves((args, kwargs)) if isinstance(v, FeatureMap | Constant | Pieces))
            inner = [part for part in parts.graph.nodes if part.op == "placeholder"]
            return self._walk(parts, dict(zip(inner, outer, strict=True)))
        return self._operator(node, arguments)

    def _constant(self, node: fx.Node, leaves: list[Any]) -> Any:
        """What a node makes of constants only."""
        value = node.meta.get("val")
        roots = tuple(dict.fromkeys(root for leaf in leaves for root in leaf.roots))
        module = self._module_of_key(roots[0]) if roots else self._module(node)
        base = base_name(node)
        if isinstance(value, list | tuple):
            return tuple(
                Constant(f"{node.name}_{i}", tuple(v.shape), module, roots, view=True) for i, v in enumerate(value)
            )
        if not isinstance(value, Tensor):
            return value
        shape = tuple(value.shape)
        if leaves and base in PASS_THROUGH and shape == leaves[0].shape:
            return leaves[0]
        # the same values in another shape are still that parameter, with its key
        key = leaves[0].key if base in VIEWS and prod(shape) == prod(leaves[0].shape) else ""
        return Constant(node.name, shape, module, roots, key, view=base in VIEWS)

    def _operator(self, node: fx.Node, arguments: dict[str, Any]) -> Any:
        """What a node makes of feature maps."""
        base, out = base_name(node), node.meta["val"]
        in_place = base.endswith("_") and not base.startswith("_")
        base = base.rstrip("_") if in_place else base
        subject = next(tensors(arguments.values()))
        if base in PASS_THROUGH and keeps_number_sort(node):
            return FeatureMap(self._read(subject), subject.shape) if base == "clone" else subject
        if in_place and isinstance(subject, Constant) and subject.view:
            raise TraceError(f"{self.model} writes into a slice of a constant ({self._module(node) or base})")
        if isinstance(out, list | tuple):
            return self._many(node, base, arguments, out)
        shape = tuple(out.shape)
        if base == "copy" and subject.shape == arguments["src"].shape:
            return self._written(subject, self._read(arguments["src"]))
        value = self._single(node, base, arguments, shape)
        if in_place:
            return self._written(subject, value.name)
        if base in VIEWS and value is not subject and isinstance(subject, FeatureMap):
            value.share(subject)
        return value

    def _single(self, node: fx.Node, base: str, arguments: dict[str, Any], shape: tuple[int, ...]) -> FeatureMap:
        """The one tensor an operator makes."""
        module = self._module(node)
        if base in VIEWS and base != "select":  # reshape_as and expand_as read only the shape of the other
            arguments = {k: v for k, v in arguments.items() if k == "self" or not isinstance(v, FeatureMap | Constant)}
        if base in ("expand", "expand_as"):
            users = [user for user in node.users if user.op == "call_function"]
            if shape == arguments["self"].shape or all(base_name(user) in BROADCASTING for user in users):
                return arguments["self"]
        if base == "select":
            source, axis = arguments["self"], arguments["dim"] % len(arguments["self"].shape)
            return self._select(node.name, source, axis, arguments["index"] % source.shape[axis], 1, True, module)
        if base == "stack":
            return self._stack(node, arguments, shape, module)
        composed = self._composed(node, base, arguments, shape)
        if composed:
            return composed[0]
        arguments = {name: _number(value) if name in ("self", "other") else value for name, value in arguments.items()}
        kind, attrs, params = _kind(node, base, arguments, shape)
        values = list(tensors(v for name, v in arguments.items() if name not in params))
        if changes_nothing(kind, attrs, values, shape):
            return values[0] if base in VIEWS else FeatureMap(self._read(values[0]), shape)
        names = tuple(self._read(v) for v in values)
        return self._emit(node.name, kind, names, shape, attrs, self._params_of(params, module), module)

    def _composed(
        self, node: fx.Node, base: str, arguments: Mapping[str, Any], shape: tuple[int, ...]
    ) -> list[FeatureMap]:
        """What an operator of several steps makes, its first result first; the last step has the node's name."""
        rule = COMPOSITES.get(base)
        if rule is None:
            return []
        steps = Steps(self._emit, self._read, self._params_of, node.name, self._module(node))
        value = rule(steps, arguments, shape)
        if value is None:
            return []
        others = [FeatureMap(self._read(other), other.shape) for other in steps.others]
        if not isinstance(value, FeatureMap) or value.name != self.ops[-1].name or node.name in self._names:
            return [FeatureMap(self._read(value), shape), *others]
        self.ops[-1] = replace(self.ops[-1], name=node.name)
        self._names.add(node.name)
        return [FeatureMap(node.name, shape), *others]

    # ---- pieces -----------------------------------------------------------------------------------------------

    def _many(self, node: fx.Node, base: str, arguments: dict[str, Any], out: Iterable[Tensor]) -> Any:
        """The several tensors an operator makes."""
        shapes = tuple(tuple(t.shape) for t in out)
        if base in _SPLITS:
            source = arguments["self"]
            return Pieces(source, arguments["dim"] % len(source.shape), shapes, base == "unbind")
        names = tuple(self._read(v) for v in tensors(arguments.values()))
        kind, attrs, module = f"{namespace(node)}.{base}", plain_arguments(arguments), self._module(node)
        values = [
            self._emit(f"{node.name}_{i}", kind, names, shape, {**attrs, "output": i}, (), module)
            for i, shape in enumerate(shapes)
        ]
        composed = self._composed(node, base, arguments, shapes[0])
        if composed:
            values[: len(composed)] = composed
        elif base in FIRST_RESULTS:  # the positions are read by nobody, mostly
            kind, of_first, params = _kind(node, FIRST_RESULTS[base], arguments, shapes[0])
            values[0] = self._emit(node.name, kind, names, shapes[0], of_first, self._params_of(params, module), module)
        return tuple(values)

    def _piece(self, node: fx.Node, source: Any, index: Any) -> Any:
        """One of several tensors."""
        if not isinstance(source, Pieces):
            return source[index]
        index %= len(source.shapes)
        sizes = [1 if source.drop else shape[source.axis] for shape in source.shapes]
        start, module = sum(sizes[:index]), self._module(node)
        piece = self._select(node.name, source.source, source.axis, start, sizes[index], source.drop, module)
        if piece is not source.source:
            piece.share(source.source)
        return piece

    def _select(self, name: str, source: Any, axis: int, start: int, size: int, drop: bool, module: str) -> FeatureMap:
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

    def _stack(self, node: fx.Node, arguments: Mapping[str, Any], shape: tuple[int, ...], module: str) -> FeatureMap:
        """Every tensor with a new axis, then a concatenation along it."""
        axis, parts = arguments["dim"] % len(shape), []
        for i, value in enumerate(arguments["tensors"]):
            dims: list[tuple[int, ...]] = [(d,) for d in range(len(value.shape))]
            dims.insert(axis, ())
            thin = (*value.shape[:axis], 1, *value.shape[axis:])
            attrs = {"dims": tuple(dims)}
            part = self._emit(f"{node.name}_{i}", "reshape", (self._read(value),), thin, attrs, (), module)
            parts.append(part.name)
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
    ) -> FeatureMap:
        """Add an operator, under another name where that one is taken."""
        unique, n = name, 1
        while unique in self._names:
            unique, n = f"{name}_{n}", n + 1
        self._names.add(unique)
        shape = tuple(int(d) for d in shape)
        self.ops.append(Op(unique, kind, inputs, shape, tuple(sorted((attrs or {}).items())), params, module))
        return FeatureMap(unique, shape)

    def _read(self, value: Any) -> str:
        """The name of the operator that makes the value; a constant becomes a `param` operator here."""
        if isinstance(value, Constant):
            operand = self._operands.get(value.name)
            if operand is None:
                key = value.key or f"{value.module}.{value.name}".lstrip(".")
                params = (Param("value", key, value.shape, parts=self._parts(value, key)),)
                operand = self._emit(value.name, "param", (), value.shape, {}, params, value.module)
                self._operands[value.name] = operand
            return operand.name
        if value.version != value.storage.version:
            raise TraceError(f"{self.model} writes into part of a tensor it reads again (the one {value.name!r} makes)")
        return str(value.name)

    def _params_of(self, params: Mapping[str, Constant], module: str) -> tuple[Param, ...]:
        # a weight that is computed (standardised, say) has the path the layer would keep it at
        return tuple(
            Param(role, name := c.key or f"{module}.{role}", c.shape, not c.key, self._parts(c, name))
            for role, c in params.items()
        )

    def _parts(self, constant: Constant, name: str) -> tuple[tuple[str, tuple[int | None, ...]], ...] | None:
        """See `Param.parts`."""
        own = [self.parameters[root] for root in constant.roots if root in self.parameters]
        if constant.key and [key for key, _ in own] == [name]:
            return None
        return tuple((key, _tied(shape, constant.shape)) for key, shape in dict.fromkeys(own))

    def _written(self, subject: Any, name: str) -> Any:
        """What a tensor is after an in-place operator of that name."""
        if isinstance(subject, Constant):
            return FeatureMap(name, subject.shape)
        subject.write(name)
        return subject

    def _module(self, node: fx.Node) -> str:
        """The deepest module whose code the node stands in."""
        stack = node.meta.get("nn_module_stack") or {}
        path = next(reversed(list(stack.values())), ("", ""))[0]
        return self._nearest(re.sub(r"@\d+", "", path))  # "@1": a module's second call

    def _module_of_key(self, key: str) -> str:
        """The module that holds the parameter or buffer of this state_dict key."""
        return self._nearest(key.rpartition(".")[0])

    def _nearest(self, path: str) -> str:
        """The deepest module on the path."""
        while path and path not in self.paths:
            path = path.rpartition(".")[0]
        return path


def _kind(
    node: fx.Node, base: str, arguments: Mapping[str, Any], shape: tuple[int, ...]
) -> tuple[str, Mapping[str, Any], Mapping[str, Constant]]:
    """Kind, attributes and parameters by role; the exporter's own name where no rule applies."""
    roles = PARAMETERS.get(base, ())
    params = {role: arguments[role] for role in roles if isinstance(arguments.get(role), Constant)}
    dynamic = any(isinstance(arguments.get(role), FeatureMap) for role in roles)
    if base in RULES and not dynamic:
        answer = RULES[base](pytree.tree_map(lambda v: getattr(v, "shape", v), arguments), shape)
        if answer is not None:
            return *answer, params
    return f"{namespace(node)}.{base}", plain_arguments(arguments), {}


def _has_rule(node: fx.Node) -> bool:
    """Whether the tracer knows the operator by its name; of FIRST_RESULTS where it makes several results."""
    base = base_name(node)
    base = base.rstrip("_") if base.endswith("_") and not base.startswith("_") else base
    several = isinstance(node.meta.get("val"), list | tuple)
    return node.target is operator.getitem or base in _WITH_RULES or (several and base in FIRST_RESULTS)


def _number(value: Any) -> Any:
    """A constant of one number as that number."""
    return value.number if isinstance(value, Constant) and value.number is not None else value


def _tied(shape: tuple[int, ...], whole: tuple[int, ...]) -> tuple[int | None, ...]:
    """A parameter's shape, None where a dimension is that of what is computed from it."""
    if len(shape) != len(whole):
        return shape
    return tuple(None if n == m != 1 else n for n, m in zip(shape, whole, strict=True))
