"""The graphs and the target the tests of transforms share."""

import pytest

from workbench.graph import Graph
from workbench.hardware import Target, resolve

from ..graph.zoo import traced


@pytest.fixture(scope="session")
def target() -> Target:
    return resolve("ethos-u65-512")


@pytest.fixture(scope="session")
def mobilenet() -> Graph:
    return traced("mobilenetv2_100", 64)
