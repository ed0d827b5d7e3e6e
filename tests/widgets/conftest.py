"""Real sessions, small ones."""

import pytest

import workbench as wb


@pytest.fixture(scope="package")
def session() -> wb.Session:
    return wb.open("mobilenetv2_050", target="ethos-u65-512", input_size=(3, 64, 64))


@pytest.fixture(scope="package")
def fused(session: wb.Session) -> wb.Session:
    return session.apply(wb.FuseIBN(blocks="blocks.1.*"))


@pytest.fixture(scope="package")
def uncalibrated(session: wb.Session) -> wb.Session:
    """The same network on a device nobody has measured."""
    return session.on("onnxruntime-cpu")
