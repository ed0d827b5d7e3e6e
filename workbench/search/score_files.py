"""Scores as safetensors files: what each picture got, so that two networks can be compared without judging again."""

import json
from dataclasses import fields
from typing import Any

import numpy as np

from ..errors import FileFormatError
from ..training import Score
from ..training.evidence import Evidence, Hits, Means, Overlaps
from ..training.matches import ClassMatches, Matches

__all__ = ["read_score", "score_file"]

_PLAIN: dict[str, type[Evidence]] = {cls.__name__: cls for cls in (Hits, Means, Overlaps)}
_FACTS = ("task", "metric", "value", "pictures", "dtype", "part", "data", "held_out")


def score_file(score: Score) -> bytes:
    """The score as a file; `read_score` gives an equal one back."""
    from safetensors.numpy import save

    evidence = score.evidence
    if isinstance(evidence, Matches):
        arrays = {"boxes": evidence.boxes}
        for number, matches in enumerate(evidence.classes):
            arrays |= {f"picture/{number}": matches.picture, f"right/{number}": matches.right}
    else:
        arrays = {field.name: getattr(evidence, field.name) for field in fields(evidence)}  # type: ignore[arg-type]
    arrays = {f"evidence/{name}": np.ascontiguousarray(array) for name, array in arrays.items()}
    arrays["losses"] = np.ascontiguousarray(score.losses.each)
    facts = {name: getattr(score, name) for name in _FACTS} | {"evidence": type(evidence).__name__}
    return save(arrays, {"score": json.dumps(facts)})


def read_score(content: bytes, source: str) -> Score:
    """The score of a file; FileFormatError, naming `source`, where it is none."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        arrays = load(content)
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        facts = json.loads(header["__metadata__"]["score"])
        evidence = _evidence(facts.pop("evidence"), arrays)
        return Score(**{name: facts[name] for name in _FACTS}, evidence=evidence, losses=Means(arrays["losses"]))
    except (SafetensorError, KeyError, ValueError, TypeError) as error:
        raise FileFormatError(f"{source} holds no score: damaged ({type(error).__name__}: {error})") from None


def _evidence(kind: str, arrays: dict[str, Any]) -> Evidence:
    own = {name.removeprefix("evidence/"): array for name, array in arrays.items() if name.startswith("evidence/")}
    if kind != "Matches":
        return _PLAIN[kind](**own)
    count = sum(name.startswith("picture/") for name in own)
    classes = tuple(ClassMatches(own[f"picture/{i}"], own[f"right/{i}"]) for i in range(count))
    return Matches(own["boxes"], classes)
