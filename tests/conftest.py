"""The order of the tests: what fails in a second comes before what takes minutes."""

from pathlib import Path

import pytest

from . import real_pictures


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: ("browser" in item.path.parts, item.get_closest_marker("deploy") is not None))


@pytest.fixture(autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees what another one, or the developer, compiled or calibrated before."""
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path_factory.mktemp("home")))


@pytest.fixture(scope="session")
def clothing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of garments, ten classes, in train, val and test."""
    return real_pictures.clothing(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="session")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of blood cells with boxes of three classes, in train, val and test."""
    return real_pictures.cells(tmp_path_factory.mktemp("pictures"))
