"""Whether the built module is what was planned."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import InputError, SurgeryError, TraceError
from ..graph import Graph, Op, as_built, is_computed
from ..graph.trace import evaluating, trace
from ..state import WidthRules
from .carry_out import NO_RULES
from .code_widths import code_widths, operators_inside

__all__ = ["require_equal", "require_planned"]

_KNOWN = ("timm.", "torch.", "workbench.")
_COMMUTATIVE = frozenset(("add", "mul", "maximum", "minimum"))


def require_planned(
    edited: nn.Module, planned: Graph, inputs: Sequence[Any] | None = None, width_rules: WidthRules = NO_RULES
) -> None:
    """Trace the edited module and compare it with the planned graph; SurgeryError where it differs or does not run.

    inputs: what the network was traced with, where that is no picture of floats; the shapes of the plan are kept.
    width_rules: those by which widths in its code were set.
    """
    example = _planned_inputs(edited, planned, inputs)
    try:
        traced = trace(edited, None, example_inputs=example)
    except (TraceError, InputError) as error:
        raise SurgeryError(
            f"the edited module does not run as planned: {_reason(edited, planned, example, width_rules)}"
        ) from error
    require_equal(as_built(planned), traced)


def _planned_inputs(model: nn.Module, planned: Graph, inputs: Sequence[Any] | None) -> tuple[Any, ...]:
    """The example inputs, or zeros in the shapes of the plan where the input size was changed."""
    shapes = [op.shape for op in planned.inputs]
    if inputs is not None and not (len(inputs) == len(shapes) == 1 and isinstance(inputs[0], Tensor)):
        return tuple(inputs)
    weights = (p for p in model.parameters() if p.is_floating_point())
    like = next(weights, torch.zeros(0)) if inputs is None else inputs[0]
    return tuple(torch.zeros(shape, dtype=like.dtype, device=like.device) for shape in shapes)


def _reason(edited: nn.Module, planned: Graph, inputs: tuple[Any, ...], width_rules: WidthRules) -> str:
    """Which module's code does not follow the plan, and which rule says how it should."""
    path, module = _failing(edited, planned, inputs)
    cls = type(module).__name__
    where = f"{path} ({cls})" if path else cls
    widths = code_widths(module, path, planned, width_rules)
    if widths:
        plain = {k: v if isinstance(v, int | tuple | list) else type(v).__name__ for k, v in widths.items()}
        values = ", ".join(f"{name}={value}" for name, value in plain.items())
        return f"{where} does not follow the plan with {values}, which its width rule gives"
    held = "in its code or in parameters it shares or computes"
    own = not type(module).__module__.startswith(_KNOWN)
    remedy = f"; where they are numbers of its code, say how they follow: open(..., width_rules={{{cls}: ...}})"
    return f"{where} holds widths or sizes, {held}, that do not follow the plan{remedy if own else ''}"


@torch.no_grad()
def _failing(model: nn.Module, planned: Graph, inputs: tuple[Any, ...]) -> tuple[str, nn.Module]:
    """Path and module in whose code the network leaves the plan: the innermost that is none of torch's own layers.

    It makes another shape than planned, or stops. The path is "" for the network itself, also where it runs and only
    the exporter cannot follow it.
    """
    names = {module: path for path, module in model.named_modules()}
    running: list[nn.Module] = []
    outputs: list[tuple[nn.Module, object]] = []  # in the order in which they end: the innermost first
    hooks = []

    def end(module: nn.Module, _: object, output: object) -> None:  # a hook that returns something changes the output
        running.pop()
        outputs.append((module, output))

    for module in names:
        hooks.append(module.register_forward_pre_hook(lambda entered, _: running.append(entered)))
        hooks.append(module.register_forward_hook(end))
    try:
        with evaluating(model):
            model(*inputs)
        running.clear()
    except Exception:  # whatever the module's own code raises: only the place is of interest
        pass
    finally:
        for hook in hooks:
            hook.remove()
    runs = Counter(module for module, _ in outputs)
    for module, output in outputs:
        ops = operators_inside(names[module], planned)
        differs = isinstance(output, Tensor) and ops and tuple(output.shape) != ops[-1].shape
        if differs and runs[module] == 1 and not _is_torchs(module):
            return names[module], module
    own = [module for module in running if not _is_torchs(module)]
    at = (own or running or [model])[-1]
    return names[at], at


def _is_torchs(module: nn.Module) -> bool:
    return type(module).__module__.startswith("torch.nn.modules.")


def require_equal(planned: Graph, traced: Graph) -> None:
    """Raise SurgeryError naming the first operator that differs.

    Names, which the exporter chooses, and the order of the inputs of a sum or product make no difference.
    """
    expected, actual = _rows(planned), _rows(traced)
    for a, b in zip(expected, actual, strict=False):
        if a != b:
            field = next(i for i in range(len(a)) if a[i] != b[i])
            what = ("kind", "shape", "attributes", "parameters", "module", "inputs")[field]
            raise SurgeryError(
                f"the built module differs from the plan at {a[4] or b[4] or 'the root'}: "
                f"its {what} is {b[field]!r} where {a[field]!r} was planned"
            )
    if len(expected) != len(actual):
        raise SurgeryError(f"the built module has {len(actual)} operators where {len(expected)} were planned")


def _rows(graph: Graph) -> list[tuple[object, ...]]:
    """One row an operator: kind, shape, attributes, parameters, module, places of its inputs."""
    place = {op.name: i for i, op in enumerate(graph.ops)}

    def row(op: Op) -> tuple[object, ...]:
        params = tuple((p.role, "" if is_computed(op) else p.name, p.shape) for p in op.params)
        places = [place[name] for name in op.inputs]
        inputs = tuple(sorted(places) if op.kind in _COMMUTATIVE else places)
        return (op.kind, op.shape, op.attrs, params, op.module, inputs)

    return [row(op) for op in graph.ops]
