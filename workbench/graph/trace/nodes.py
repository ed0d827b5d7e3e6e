"""Questions to one exported node and its arguments."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, fx

from .values import tensors

__all__ = ["base_name", "changes_nothing", "keeps_number_sort", "namespace", "plain_arguments"]


def base_name(node: fx.Node) -> str:
    """The operator's name without its namespace and overload."""
    packet = getattr(node.target, "overloadpacket", None)
    return packet.__name__ if packet is not None else str(node.target)


def namespace(node: fx.Node) -> str:
    """The library an operator comes from, such as "aten"."""
    return str(getattr(node.target, "namespace", "call"))


def keeps_number_sort(node: fx.Node) -> bool:
    """Whether it is no conversion, or one between floating-point formats, which the deployed network does not have."""
    before = next((n.meta["val"] for n in node.all_input_nodes if isinstance(n.meta.get("val"), Tensor)), None)
    after = node.meta.get("val")
    if before is None or not isinstance(after, Tensor):
        return True
    return before.dtype == after.dtype or (before.is_floating_point() and after.is_floating_point())


def plain_arguments(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of an operator without a rule that are plain values, as attributes."""

    def plain(value: Any) -> Any:
        return tuple(map(plain, value)) if isinstance(value, list | tuple) else value

    attrs = {}
    for name, value in arguments.items():
        if not any(True for _ in tensors([value])) and value is not None:
            value = plain(value)
            attrs[name] = value if isinstance(value, bool | int | float | str | tuple) else str(value)
    return attrs


def changes_nothing(kind: str, attrs: Mapping[str, Any], values: list[Any], shape: tuple[int, ...]) -> bool:
    """Whether an operator hands its one input on as it is."""
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
