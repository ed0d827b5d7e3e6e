"""A candidate in the ledger of a study: what was chosen, what it costs, how it was scored, and what training gave."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["FINISHED", "KINDS", "Row"]

# why a candidate was added: the unedited network; one edit alone; drawn by chance; the integer program's answer; drawn
# and kept as it promised much; bred from two trained ones, or from one
KINDS = ("unedited", "twin", "random", "program", "drawn", "crossover", "mutation")
FINISHED = ("trained", "stopped", "failed")


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
