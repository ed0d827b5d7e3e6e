"""A lab's table: units are mandatory, every mistake is one sentence, and the file is only data."""

from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import FileFormatError, InputError, WorkbenchError
from workbench.estimators.random_networks import sample
from workbench.graph.json_document import graph_to_json
from workbench.hardware import resolve
from workbench.hardware.table import UNITS, TableTarget, read_table


@pytest.fixture
def lab(tmp_path: Path):
    def write(text: str) -> Path:
        path = tmp_path / "lab.csv"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def known(path: Path) -> TableTarget:
    target = resolve(f"table:{path}")
    assert isinstance(target, TableTarget)
    return target


@given(st.floats(1e-3, 1e3), st.sampled_from(sorted(UNITS)))
def test_units_are_milliseconds_in_the_end(tmp_path_factory, value, unit):
    folder = tmp_path_factory.mktemp("lab")
    one, two = folder / "one.csv", folder / "two.parquet"
    one.write_text(f"name,latency_{unit}\na,{value!r}\n", encoding="utf-8")
    pd.DataFrame({"name": ["a"], "latency": [value], "unit": [unit]}).to_parquet(two)
    assert read_table(one).latency_ms[0] == pytest.approx(value * UNITS[unit])
    assert read_table(two).latency_ms[0] == pytest.approx(value * UNITS[unit])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name,latency\na,3\n", "says no unit; call it 'latency_ms'"),
        ("name,latency,unit\na,3,msec\n", "row 2: unknown unit 'msec'; the nearest is 'ms'"),
        ("name,latency_ms,latency_us\na,3,3000\n", "two columns of latencies, latency_ms, latency_us; keep one"),
        ("name,time\na,3\n", "no column of latencies"),
        ("network,latency_ms\na,3\n", "no column 'name'"),
        ("name,latency_ms\na,3\nb,fast\n", "row 3: the latency 'fast' must be above 0"),
        ("name,latency_ms\na,0\n", "the latency '0' must be above 0"),
        ("name,latency_ms\na,1e9\n", "at most an hour"),
        ("name,latency_ms\na,nan\n", "no row holds a latency"),
        ("name,latency_ms\na,\n", "no row holds a latency"),
        ("name,latency_ms\n,3\n", "row 2: a latency without a name"),
        ("", "not a readable table"),
    ],
)
def test_mistakes_are_named(lab, text, said):
    with pytest.raises(FileFormatError, match=said):
        read_table(lab(text))


def test_files_that_are_no_tables(tmp_path: Path, lab):
    path = lab("name,latency_ms\na,1\n")
    with pytest.raises(InputError, match=r"the nearest in that folder is 'lab\.csv'"):
        resolve(f"table:{path.with_name('lap.csv')}")
    pickled = tmp_path / "lab.pkl"
    pickled.write_bytes(b"cos\nsystem\n(S'touch /tmp/opened'\ntR.")
    with pytest.raises(InputError, match=r"must end in \.csv or \.parquet"):
        resolve(f"table:{pickled}")
    damaged = tmp_path / "lab.parquet"
    damaged.write_bytes(pickled.read_bytes())
    with pytest.raises(FileFormatError, match="not a readable table"):
        resolve(f"table:{damaged}")


def test_rows_are_looked_up(tmp_path: Path, lab):
    (tmp_path / "networks").mkdir()
    for seed in (2, 4):
        (tmp_path / "networks" / f"sample{seed}.json").write_text(graph_to_json(sample(seed)), encoding="utf-8")
    target = known(lab("name,part,latency_us\nsample2,,1500\nsample2,,1700\nsample2,conv2d_1,90\nsample4,,\n"))
    assert target.measure_graph(sample(2)).latency_ms == pytest.approx(1.6)
    assert target.measure("anywhere/sample2.tflite").rounds_ms == pytest.approx((1.5, 1.7))
    assert target.missing() == ("sample4",)
    assert "nobody measured" in target.measure_graph(sample(3)).reason
    assert "the nearest is 'sample2'" in target.measure("sample3.onnx").reason
    assert target.measure(b"TFL3").status == "refused"
    assert target.graph_of("sample3") is None


def test_the_digest_follows_the_content(lab):
    before = known(lab("name,latency_ms\na,1\n")).digest
    assert known(lab("name,latency_ms\na,2\n")).digest != before


def test_a_damaged_graph_is_told(tmp_path: Path, lab):
    (tmp_path / "networks").mkdir()
    target = known(lab("name,latency_ms\nsample2,1\n"))
    path = tmp_path / "networks" / "sample2.json"
    whole = graph_to_json(sample(2))
    for text in (
        "{",
        "[]",
        whole[: len(whole) // 2],
        whole.replace('"conv2d"', '"conv1d"'),
        whole.replace('"ops"', '"op"'),
    ):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(WorkbenchError, match=r"sample2\.json"):
            target.measure_graph(sample(2))
