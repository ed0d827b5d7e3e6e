"""Targets of other packages: found by their entry points, and one that is broken harms nobody else."""

import sys
from pathlib import Path
from textwrap import dedent

import pytest

from workbench.errors import UnknownName, WorkbenchError
from workbench.hardware import OnnxRuntimeCpu, list_targets, resolve


@pytest.fixture
def installed(tmp_path: Path, monkeypatch):
    """A package with three entry points, as pip would leave it."""
    (tmp_path / "some_lab.py").write_text(
        dedent(
            """
            from workbench.hardware import OnnxRuntimeCpu

            def two():
                return OnnxRuntimeCpu(threads=2)

            def no_target():
                return "a string"
            """
        ),
        encoding="utf-8",
    )
    info = tmp_path / "some_lab-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: some-lab\nVersion: 1.0\n", encoding="utf-8")
    points = """
        [workbench.targets]
        two-threads = some_lab:two
        not-a-target = some_lab:no_target
        not-there = some_lab:nothing
        ethos-u65-512 = some_lab:two
    """
    (info / "entry_points.txt").write_text(dedent(points), encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    sys.modules.pop("some_lab", None)


def test_they_are_resolved_and_listed(installed):
    assert resolve("two-threads") == OnnxRuntimeCpu(threads=2)
    table = list_targets().set_index("name")
    assert table.problem["two-threads"] == ""
    assert "some_lab:nothing" in table.problem["not-there"]
    assert "is a str, not a Target" in table.problem["not-a-target"]


def test_a_broken_one_is_an_error_for_who_asks(installed):
    with pytest.raises(WorkbenchError, match="AttributeError"):
        resolve("not-there")
    with pytest.raises(WorkbenchError, match="is a str"):
        resolve("not-a-target")


def test_ours_cannot_be_taken(installed):
    assert resolve("ethos-u65-512").compiler.startswith("vela")


def test_the_nearest_name_is_told(installed):
    with pytest.raises(UnknownName, match="the nearest is 'two-threads'"):
        resolve("two-thread")
    with pytest.raises(UnknownName, match="the nearest is 'onnxruntime-cpu'"):
        resolve("onnxruntime-gpu")
