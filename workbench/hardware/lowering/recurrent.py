"""LSTM layers, step by step, as the deployed route unrolls them.

T, B, H     steps, sequences, width of the state
gates       input, forget, cell and output gate, in torch's order, H values each
"""

from ...graph import Op
from .hw_operator import HwOp
from .network import Lowering, Rule

__all__ = ["RULES"]


def _lstm(low: Lowering, op: Op) -> bool:
    """Gates of all steps from what is read; a step adds those of the state before. States begin with zeros."""
    read, recurrent = op.param("weight_ih"), op.param("weight_hh")
    if read is None or recurrent is None or op.param("bias_ih") is None or len(op.shape) != 3:
        return False
    steps, batch, width = op.shape
    shape = (steps, batch, 4 * width)
    x = low.in_order(op.inputs[0])
    if op["reverse"]:
        x = low.real(op, "REVERSE_V2", x, low.ops[x].shape, "turned")
    gates = low.emit(
        HwOp(
            f"{op.name}.gates", "FULLY_CONNECTED", (x,), shape, (op.name,), weight=read.shape, bias=True,
            folds=(op.name,), extra=(0,),
        )
    )  # fmt: skip
    cell = state = ""
    states: list[str] = []
    for step in range(steps):
        cell, state = _step(low, op, step, gates, cell, state)
        states.append(state)
    if op["reverse"]:
        states.reverse()
    low.finish(op, low.step(op, "", "CONCATENATION", tuple(states), op.shape, extra=(0,)))
    return True


def _step(low: Lowering, op: Op, step: int, gates: str, cell: str, state: str) -> tuple[str, str]:
    """The cell and the state behind a step; "" before the first, which forgets nothing."""
    _, batch, width = op.shape
    at, row, whole = f"step{step}", (1, batch, width), (1, batch, 4 * width)
    x = low.step(op, f"{at}.read", "SLICE", (gates,), whole, extra=(0, step, step + 1, 1))
    if state:
        recurrent = op.param("weight_hh")
        assert recurrent is not None
        y = low.emit(
            HwOp(
                f"{op.name}.{at}.recurrent", "FULLY_CONNECTED", (state,), whole, (op.name,), weight=recurrent.shape,
                bias=True, folds=(op.name,), extra=(1,),
            )
        )  # fmt: skip
        x = low.step(op, f"{at}.gates", "ADD", (y, x), whole)
    else:
        x = low.step(op, f"{at}.gates", "ADD", (x,), whole, const=("bias_hh", op.name))

    def gate(k: int, kind: str) -> str:
        y = low.step(op, f"{at}.part{k}", "SLICE", (x,), row, extra=(2, k * width, (k + 1) * width, 1))
        return low.step(op, f"{at}.gate{k}", kind, (y,), row)

    enters, forgets = gate(0, "LOGISTIC"), gate(1, "LOGISTIC") if cell else ""
    value, leaves = gate(2, "TANH"), gate(3, "LOGISTIC")
    new = low.step(op, f"{at}.new", "MUL", (enters, value), row)
    if cell:
        kept = low.step(op, f"{at}.kept", "MUL", (forgets, cell), row)
        new = low.step(op, f"{at}.cell", "ADD", (kept, new), row)
    shown = low.step(op, f"{at}.shown", "TANH", (new,), row)
    return new, low.step(op, f"{at}.state", "MUL", (leaves, shown), row)


RULES: dict[str, Rule] = {"lstm": _lstm}
