"""The networks of the benchmark `field.py`: torchvision's and, rebuilt by hand, what else this trade deploys."""

from .attention import ATTENTION
from .classifiers import CLASSIFIERS
from .detectors import DETECTORS
from .from_torchvision import TORCHVISION
from .layers import Networks, lively
from .pictures import PICTURES
from .segmenters import SEGMENTERS
from .sequences import SEQUENCES

__all__ = ["NETWORKS", "lively"]

_PARTS = (CLASSIFIERS, ATTENTION, DETECTORS, SEGMENTERS, PICTURES, SEQUENCES, TORCHVISION)
NETWORKS: Networks = {name: network for part in _PARTS for name, network in part.items()}
