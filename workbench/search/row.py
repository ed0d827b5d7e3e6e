"""A candidate in the ledger of a study: what was chosen, what it costs, how it was scored, and what training gave."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..space import Space

__all__ = ["FINISHED", "KINDS", "Row", "slot_names"]

# why a candidate was added: the unedited network; one edit alone; drawn by chance; the integer program's answer; drawn
# and kept as it promised much; bred from two trained ones, or from one
KINDS = ("unedited", "twin", "random", "program", "drawn", "crossover", "mutation")
FINISHED = ("trained", "stopped", "failed")


def slot_names(space: Space) -> list[str]:
    """A name a slot: the path of its block; "network", "network 2", ... where it is the network's."""
    wholes = [s for s, slot in enumerate(space.slots) if not slot.block]
    names = {s: "network" if place == 1 else f"network {place}" for place, s in enumerate(wholes, 1)}
    return [names.get(s, slot.block) for s, slot in enumerate(space.slots)]


@dataclass(frozen=True)
class Row:
    """A candidate.

    number: its place in the ledger, which stays. choices: the number of its choice, a slot each. kind: one of `KINDS`.
    state: "waiting", "running", "trained", "stopped" (early, as hopeless) or "failed". graph: digest of its network.
    costs: estimated figures on the study's target, by name. scores: without training, by name ("zero_shot/naswot",
    "forecast"). result: what training gave: accuracy, low, high, pictures, loss, first_epoch, epochs, seed, seconds,
    weights and evidence (names of files). test: accuracy, low, high on the test part. reason: why it failed or stopped.
    driver: the process that trains it, or did.
    """

    number: int
    choices: tuple[int, ...]
    kind: str
    state: str
    graph: str
    costs: Mapping[str, float]
    scores: Mapping[str, float] = field(default_factory=dict)
    result: Mapping[str, Any] = field(default_factory=dict)
    test: Mapping[str, float] = field(default_factory=dict)
    reason: str = ""
    driver: str = ""

    @property
    def trained(self) -> bool:
        return self.state == "trained"

    @property
    def accuracy(self) -> float:
        """On the part for validation; nan where it was not trained to the end."""
        return float(self.result.get("accuracy", float("nan"))) if self.trained else float("nan")
