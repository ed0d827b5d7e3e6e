"""A bundle checked on the machine at hand: every figure derived again, and whether it holds."""

from hashlib import sha256
from math import isclose
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
from torch import nn

from ..errors import InputError
from ..state import WidthRules
from ..surgery import build_state
from ..table import Table
from ..training import EMBEDDED, Task, resolve_task
from .bundle import Bundle, read, versions
from .figures import Figure, derive
from .files import load

__all__ = ["check"]

# how -> (relative, absolute) tolerance: the compiler and counting are exact, models are sums of floats, and another
# processor rounds a network's activations otherwise, which now and then turns one picture's answer
_WITHIN = {"counted": (0.0, 0.0), "estimated": (1e-6, 0.0), "compiled": (0.0, 0.0), "run": (0.02, 0.005)}


def check(
    path: str | Path,
    model: nn.Module | None = None,
    task: str | Path | Task | None = None,
    width_rules: WidthRules | None = None,
) -> pd.DataFrame:
    """Derive every figure of a bundle again; one row each.

    Columns: of, figure, how, bundle (what it says), here (None where not derived), holds ("yes", "no", or "not checked"
    with the reason). `.attrs["versions"]` says what differs between there and here, in words.

    model: the module, for a bundle of your own `nn.Module`. task: the data, where it does not come with the workbench.
    width_rules: as for `workbench.open`.
    Raises FileFormatError where the file is no bundle.
    """
    bundle = read(Path(path))
    digests = bundle.contents.members
    rows = [_digest(name, digest, bundle.members.get(name)) for name, digest in digests.items()]
    rows += [
        {"of": name, "figure": "sha256", "how": "read", "bundle": None, "here": None, "holds": "no: it has none"}
        for name in bundle.members
        if name not in digests
    ]
    data, reason = _task_of(bundle, task)
    with TemporaryDirectory() as folder:
        saved = Path(folder) / "session.wb"
        saved.write_bytes(bundle.members["session.wb"])
        session = load(saved, model, width_rules)
    images = bundle.images
    derived = derive(session, build_state(session, images), bundle.members["deployed.tflite"], images, data)
    again = {(figure.of, figure.name, figure.how): figure for figure in derived.figures}
    if data is not None and data.metric not in {figure.name for figure in derived.figures}:
        reason = f"{data.name} is judged by {data.metric}"
    for claim in bundle.contents.figures:
        why = derived.left.get(claim.of, reason) if claim.how in ("compiled", "run") else ""
        claimed = Figure(claim.of, claim.figure, claim.how, claim.value)
        rows.append(_row(claimed, again.get((claim.of, claim.figure, claim.how)), why))
    table = Table(rows, columns=["of", "figure", "how", "bundle", "here", "holds"])
    table.attrs["versions"] = _differing(bundle)
    return table


def _digest(name: str, expected: str, member: bytes | None) -> dict[str, Any]:
    actual = sha256(member).hexdigest() if member is not None else None
    short = None if actual is None else actual[:12]
    holds = "yes" if actual == expected else "no: it is missing" if member is None else "no: it was changed"
    return {"of": name, "figure": "sha256", "how": "read", "bundle": expected[:12], "here": short, "holds": holds}


def _row(claimed: Figure, again: Figure | None, reason: str) -> dict[str, Any]:
    relative, absolute = _WITHIN[claimed.how]
    if again is None:
        holds = f"not checked: {reason or 'it cannot be derived here'}"
    else:
        near = isclose(again.value, claimed.value, rel_tol=relative, abs_tol=absolute)
        holds = "yes" if near else "no"
    value = None if again is None else again.value
    facts = {"of": claimed.of, "figure": claimed.name, "how": claimed.how, "bundle": claimed.value}
    return facts | {"here": value, "holds": holds}


def _task_of(bundle: Bundle, task: str | Path | Task | None) -> tuple[Task | None, str]:
    """The data the scores are of, or why they cannot be derived again."""
    recorded = bundle.contents.task
    if recorded is None:
        if task is not None:
            raise InputError("the bundle has no score, so that task= is of no use to it")
        return None, ""
    if task is None and recorded.name not in EMBEDDED:
        return None, f"the data {recorded.name!r} does not come with the workbench; give it as task="
    data = resolve_task(recorded.name if task is None else task)
    if data.digest != recorded.digest:
        return None, f"the data {data.name!r} is other data here (digest {data.digest}, there {recorded.digest})"
    return data, ""


def _differing(bundle: Bundle) -> str:
    installed, recorded = versions(), bundle.contents.versions
    names = [name for name in {**recorded, **installed} if recorded.get(name) != installed.get(name)]
    return ", ".join(f"{name} {recorded.get(name, 'missing')}, here {installed.get(name, 'missing')}" for name in names)
