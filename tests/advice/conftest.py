"""Sessions the tests of advice share: opened once, estimated anew in every test, which has measurements of its own."""

import pytest

import workbench as wb

from ..graph.zoo import lively


@pytest.fixture(scope="session")
def opened():
    return wb.open(lively("mobilenetv2_100"), target="ethos-u65-512", input_size=(3, 96, 96))


@pytest.fixture
def session(opened):
    return opened


@pytest.fixture(scope="session")
def opened_gated():
    return wb.open(lively("efficientnet_b0"), target="ethos-u85-256", input_size=(3, 96, 96))


@pytest.fixture
def gated(opened_gated):
    return opened_gated
