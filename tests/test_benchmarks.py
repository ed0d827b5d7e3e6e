"""The benchmarks, which no other test runs, still find what they import."""

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

BENCHMARKS = [
    path
    for path in sorted((Path(__file__).parents[1] / "benchmarks").glob("*.py"))
    if "__main__" in path.read_text(encoding="utf-8")
]


@pytest.mark.parametrize("path", BENCHMARKS, ids=lambda path: path.stem)
def test_a_benchmark_can_start(path, monkeypatch):
    monkeypatch.syspath_prepend(path.parent)
    spec = spec_from_file_location(f"benchmark_{path.stem}", path)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    assert callable(module.main)
