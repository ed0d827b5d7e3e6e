"""The order of the tests: what fails in a second comes before what takes minutes."""

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: ("browser" in item.path.parts, item.get_closest_marker("deploy") is not None))
