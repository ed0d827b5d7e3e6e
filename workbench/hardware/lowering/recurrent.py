"""Recurrent layers, step by step, as the deployed route unrolls them.

T, B, H     steps, sequences, width of the state
gates       H values each, in torch's order: of an LSTM the input, forget, cell and output gate; of a GRU the reset and
            update gate and the new state; of a plain recurrent layer the new state alone
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


def _gates(low: Lowering, op: Op, count: int, both: bool = False) -> list[str]:
    """What the input alone gives to `count` gates of every step [B, count H], in the order in which steps are made.

    both: whether the biases of what reads the state are among them.
    """
    read = op.param("weight_ih")
    assert read is not None
    steps, batch, width = op.shape
    shape = (steps, batch, count * width)
    x = low.emit(
        HwOp(
            f"{op.name}.gates", "FULLY_CONNECTED", (low.in_order(op.inputs[0]),), shape, (op.name,), weight=read.shape,
            bias=op.param("bias_ih") is not None, folds=(op.name,), extra=(2 if both else 0,),
        )
    )  # fmt: skip
    if op["reverse"] and steps > 1:
        x = low.real(op, "REVERSE_V2", x, shape, "turned")
    rows = [x]
    if steps > 1:
        cuts = [(0, k, k + 1, 1) for k in range(steps)]
        rows = [low.step(op, f"step{k}.read", "SLICE", (x,), (1, *shape[1:]), extra=cut) for k, cut in enumerate(cuts)]
    return [low.reshape(row, shape[1:], f"{op.name}.step{k}.row", op.name) for k, row in enumerate(rows)]


def _of_state(low: Lowering, op: Op, state: str, label: str, count: int) -> str:
    """What the state before gives to the gates [1, B, count H]."""
    recurrent, (_, batch, width) = op.param("weight_hh"), op.shape
    assert recurrent is not None
    return low.emit(
        HwOp(
            f"{op.name}.{label}.recurrent", "FULLY_CONNECTED", (state,), (1, batch, count * width), (op.name,),
            weight=recurrent.shape, bias=op.param("bias_hh") is not None, folds=(op.name,), extra=(1,),
        )
    )  # fmt: skip


def _joined(low: Lowering, op: Op, states: list[str]) -> None:
    if op["reverse"]:
        states = states[::-1]
    if len(states) > 1:
        low.finish(op, low.step(op, "", "CONCATENATION", tuple(states), op.shape, extra=(0,)))
    else:
        low.finish(op, states[0])


def _start(low: Lowering, op: Op) -> str:
    """The state before the first step, "" of zeros."""
    return low.in_order(op.inputs[1]) if len(op.inputs) > 1 else ""


def _gru(low: Lowering, op: Op) -> bool:
    """The new state, and of the state before as much as the update gate keeps: (state - new) update + new."""
    if any(op.param(role) is None for role in ("weight_ih", "weight_hh")) or len(op.shape) != 3:
        return False
    states, state = [], _start(low, op)
    for step, gates in enumerate(_gates(low, op, 3)):
        state = _gru_step(low, op, f"step{step}", gates, state)
        states.append(state)
    _joined(low, op, states)
    return True


def _gru_step(low: Lowering, op: Op, label: str, gates: str, state: str) -> str:
    """The state behind a step; "" before the first, where the recurrent gates are biases alone."""
    _, batch, width = op.shape
    row = (1, batch, width)
    cuts = [(k * width, (k + 1) * width) for k in range(3)]
    read = [
        low.step(op, f"{label}.read{k}", "SLICE", (gates,), row[1:], extra=(1, *cut, 1)) for k, cut in enumerate(cuts)
    ]
    before: list[str] = []
    if state:
        y = _of_state(low, op, state, label, 3)
        before = [
            low.step(op, f"{label}.before{k}", "SLICE", (y,), row, extra=(2, *cut, 1)) for k, cut in enumerate(cuts)
        ]

    def of_both(part: str, kind: str, k: int, x: str) -> str:
        """Arithmetic of gate k of the state before and `x`."""
        if before:
            return low.step(op, f"{label}.{part}", kind, (before[k], x), row)
        return low.step(op, f"{label}.{part}", kind, (x,), row, const=("bias_hh", op.name), extra=cuts[k])

    reset, update = (
        low.step(op, f"{label}.gate{k}", "LOGISTIC", (of_both(f"sum{k}", "ADD", k, read[k]),), row) for k in (0, 1)
    )
    x = low.step(op, f"{label}.sum2", "ADD", (read[2], of_both("kept", "MUL", 2, reset)), row)
    new = low.step(op, f"{label}.new", "TANH", (x,), row)
    if state:
        x = low.step(op, f"{label}.change", "SUB", (state, new), row)
    else:
        x = low.step(op, f"{label}.change", "SUB", (new,), row, const=("scalar", 0.0), const_first=True)
    x = low.step(op, f"{label}.part", "MUL", (x, update), row)
    return low.step(op, f"{label}.state", "ADD", (x, new), row)


def _rnn(low: Lowering, op: Op) -> bool:
    """The tanh, or the ReLU, of the gates of what is read and of the state before."""
    if any(op.param(role) is None for role in ("weight_ih", "weight_hh", "bias_ih")) or len(op.shape) != 3:
        return False
    states, state, row = [], _start(low, op), (1, *op.shape[1:])
    relu = op["activation"] == "relu"
    act = "RELU" if relu else "NONE"
    alone = len(op.inputs) == 1 and op.shape[0] == 1  # a sum of biases
    for step, x in enumerate(_gates(low, op, 1, alone)):
        label = f"step{step}"
        if state:
            x = low.step(op, f"{label}.sum", "ADD", (_of_state(low, op, state, label, 1), x), row, act=act)
        elif alone:
            x = low.reshape(x, row, f"{op.name}.sum", op.name)
        else:
            x = low.step(op, f"{label}.sum", "ADD", (x,), row, const=("bias_hh", op.name), act=act)
        if not relu or (alone and not state):
            x = low.step(op, f"{label}.state", "RELU" if relu else "TANH", (x,), row)
        state = x
        states.append(state)
    _joined(low, op, states)
    return True


RULES: dict[str, Rule] = {"lstm": _lstm, "gru": _gru, "rnn": _rnn}
