"""Copies before reshapes of what others read too.

Rules, read off the compiler (Ethos-U Vela 5.2): a RESHAPE that changes the shape of a tensor with several readers
copies it for all of them, one copy after the other where there are several such reshapes.
"""

from collections.abc import Mapping, Sequence

from ....hardware.lowering import HwOp

__all__ = ["with_reshape_copies"]


def with_reshape_copies(ops: Sequence[HwOp], numbers: Mapping[str, int]) -> tuple[tuple[HwOp, ...], dict[str, int]]:
    """The operators with their copies, and by name the numbers of the operators they are charged to.

    numbers: of the operators; parts of a decomposed operator, "<name>/...", default to its number.
    """
    numbers = dict(numbers)
    for op in ops:
        if op.name not in numbers:
            numbers[op.name] = numbers[op.name.rpartition("/")[0]]
    reshapes = [op for op in ops if op.kind == "RESHAPE" and "/" not in op.name]
    copies = _copies(ops, reshapes) if reshapes else {}
    if not copies:
        return tuple(ops), numbers
    copied: list[HwOp] = []
    for op in ops:
        inputs = tuple(copies[name][-1][0].name if name in copies else name for name in op.inputs)
        copied.append(op._replace(inputs=inputs) if inputs != op.inputs else op)
        for copy, reshape in copies.get(op.name, ()):
            numbers[copy.name] = numbers[reshape.name]
            copied.append(copy._replace(shape=op.shape))
    return tuple(copied), numbers


def _copies(ops: Sequence[HwOp], reshapes: Sequence[HwOp]) -> dict[str, list[tuple[HwOp, HwOp]]]:
    """By tensor its copies, each with the reshape that needs it; a copy has the shape this reshape gives it."""
    producers = {op.name: op for op in ops}
    readers: dict[str, set[str]] = {op.inputs[0]: set() for op in reshapes}
    for op in ops:
        for name in op.inputs:
            if name in readers:
                readers[name].add(op.name)
    copies: dict[str, list[tuple[HwOp, HwOp]]] = {}
    for op in reshapes:
        source = producers[op.inputs[0]]
        if len(readers[source.name]) < 2 or source.kind == "INPUT":
            continue
        earlier = copies.get(source.name, [])
        latest = earlier[-1][0] if earlier else source  # the next reshape finds the shape this one gave the copy
        if latest.shape != op.shape:
            name = f"{source.name}/copy{len(earlier)}"
            copy = HwOp(name, "MEMORY_COPY", (latest.name,), op.shape, op.sources, bits=source.bits)
            copies.setdefault(source.name, []).append((copy, op))
    return copies
