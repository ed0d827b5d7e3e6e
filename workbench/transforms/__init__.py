"""Transforms: one file each, listed in `every.py`."""

from collections.abc import Mapping
from types import MappingProxyType

from . import every
from .base import Transform as Transform
from .base import describe as describe
from .base import describe_fully as describe_fully
from .composition import Step as Step
from .composition import compose as compose
from .every import *  # noqa: F403
from .select import select as select

# What recipes, the widget and the command line know by name.
TRANSFORMS: Mapping[str, type[Transform]] = MappingProxyType(
    {name: cls for name, cls in vars(every).items() if isinstance(cls, type) and issubclass(cls, Transform)}
)
