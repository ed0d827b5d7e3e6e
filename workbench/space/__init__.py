"""The space of what may be chosen where: catalogue, slots, choices, candidates, and their prices by the thousand."""

from .catalogue import Option, block_choices, block_options, catalogue, network_choices, network_options, option
from .prices import Prices, prices
from .slots import Candidate, Choice, Slot, Space

__all__ = [
    "Candidate",
    "Choice",
    "Option",
    "Prices",
    "Slot",
    "Space",
    "block_choices",
    "block_options",
    "catalogue",
    "network_choices",
    "network_options",
    "option",
    "prices",
]
