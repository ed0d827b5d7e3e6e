"""The space of what may be chosen where: catalogue, curation, candidates, their prices by the thousand, landscapes."""

from .catalogue import Option, block_choices, block_options, catalogue, network_choices, network_options, option
from .judgement import Judgement
from .landscape import Landscape, landscape, ruggedness
from .prices import Prices, prices
from .slots import Candidate, Choice, Slot, Space
from .spaces import Losses, Offer, curated, uncurated

__all__ = [
    "Candidate",
    "Choice",
    "Judgement",
    "Landscape",
    "Losses",
    "Offer",
    "Option",
    "Prices",
    "Slot",
    "Space",
    "block_choices",
    "block_options",
    "catalogue",
    "curated",
    "landscape",
    "network_choices",
    "network_options",
    "option",
    "prices",
    "ruggedness",
    "uncurated",
]
