"""A bundle checked on the machine at hand: every figure derived again, and whether it holds."""

from hashlib import sha256
from math import isclose
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
from torch import nn

from ..errors import InputError
from ..training import EMBEDDED, Task, resolve_task
from .bundle import Bundle, read, versions
from .claims import Claim, derive
from .files import load

__all__ = ["check"]

# how -> (relative, absolute) tolerance: the compiler and counting are exact, models are sums of floats, and another
# processor rounds a network's activations otherwise, which now and then turns one picture's answer
_WITHIN = {"counted": (0.0, 0.0), "estimated": (1e-6, 0.0), "compiled": (0.0, 0.0), "run": (0.02, 0.005)}


def check(path: str | Path, model: nn.Module | None = None, task: "str | Path | Task | None" = None) -> pd.DataFrame:
    """Derive every figure of a bundle again; one row each.

    Columns: of, figure, how, bundle (what it says), here (None where not derived), holds ("yes", "no", or "not checked"
    with the reason). `.attrs["versions"]` says what differs between there and here, in words.

    model: the module, for a bundle of your own `nn.Module`. task: the data, where it does not come with the workbench.
    Raises FileFormatError where the file is no bundle.
    """
    held = read(Path(path))
    rows = [_digest(name, wanted, held.members.get(name)) for name, wanted in held.said.members.items()]
    rows += [
        {"of": name, "figure": "sha256", "how": "read", "bundle": None, "here": None, "holds": "no: it has none"}
        for name in held.members
        if name not in held.said.members
    ]
    question, why = _question(held, task)
    with TemporaryDirectory() as folder:
        saved = Path(folder) / "session.wb"
        saved.write_bytes(held.members["session.wb"])
        session = load(saved, model)
    images = held.images
    derived = derive(session, session.build(images), held.members["deployed.tflite"], images, question)
    here = {(claim.of, claim.figure, claim.how): claim for claim in derived.claims}
    if question is not None and question.metric not in {claim.figure for claim in derived.claims}:
        why = f"{question.name} is judged by {question.metric}"
    for said in held.said.figures:
        found = here.get((said.of, said.figure, said.how))
        reason = derived.left.get(said.of, why) if said.how in ("compiled", "run") else ""
        rows.append(_row(Claim(said.of, said.figure, said.how, said.value), found, reason))
    table = pd.DataFrame(rows, columns=["of", "figure", "how", "bundle", "here", "holds"])
    table.attrs["versions"] = _differing(held)
    return table


def _digest(name: str, wanted: str, data: bytes | None) -> dict[str, Any]:
    found = sha256(data).hexdigest() if data is not None else None
    short = None if found is None else found[:12]
    holds = "yes" if found == wanted else "no: it is missing" if data is None else "no: it was changed"
    return {"of": name, "figure": "sha256", "how": "read", "bundle": wanted[:12], "here": short, "holds": holds}


def _row(said: Claim, found: Claim | None, why: str) -> dict[str, Any]:
    relative, absolute = _WITHIN[said.how]
    if found is None:
        holds = f"not checked: {why or 'it cannot be derived here'}"
    else:
        near = isclose(found.value, said.value, rel_tol=relative, abs_tol=absolute)
        holds = "yes" if near else "no"
    value = None if found is None else found.value
    return {"of": said.of, "figure": said.figure, "how": said.how, "bundle": said.value, "here": value, "holds": holds}


def _question(held: Bundle, task: "str | Path | Task | None") -> tuple[Task | None, str]:
    """The data the scores are of, or why they cannot be found again."""
    said = held.said.task
    if said is None:
        if task is not None:
            raise InputError("the bundle has no score, so that task= is of no use to it")
        return None, ""
    if task is None and said.name not in EMBEDDED:
        return None, f"the data {said.name!r} does not come with the workbench; give it as task="
    question = resolve_task(said.name if task is None else task)
    if question.digest != said.digest:
        return None, f"the data {question.name!r} is other data here (digest {question.digest}, there {said.digest})"
    return question, ""


def _differing(held: Bundle) -> str:
    here, there = versions(), held.said.versions
    names = [name for name in {**there, **here} if there.get(name) != here.get(name)]
    return ", ".join(f"{name} {there.get(name, 'missing')}, here {here.get(name, 'missing')}" for name in names)
