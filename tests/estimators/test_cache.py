"""A kept estimate is given out quickly, and never once anything it depends on has changed."""

import gc
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from weakref import ref

import numpy as np
import pytest

from workbench.estimators import WeightValues, clear_estimates, device, estimate, keep, weight_values
from workbench.estimators import file_stamps as stamps
from workbench.estimators.cache import EstimateCache
from workbench.estimators.device import TotalsModel
from workbench.estimators.device.measuring import cache_folder
from workbench.estimators.device.roofline import GRIDS, PRIOR_MEDIAN
from workbench.estimators.ethos_u import estimate as computed
from workbench.estimators.intervals import interval
from workbench.estimators.kept_compiles import compiles_folder
from workbench.estimators.measured_networks import DATA, calibrations_folder, read_rows, write_rows
from workbench.estimators.random_networks import sample
from workbench.estimators.weight_distributions import NORMAL
from workbench.graph import Graph
from workbench.hardware import EthosU, OnnxRuntimeCpu, TableTarget

from ..graph.zoo import traced

TARGET = EthosU("ethos-u65-512")


@pytest.fixture
def lab(tmp_path: Path) -> TableTarget:
    """A table of one network, and a model of its device."""
    path = tmp_path / "lab.csv"
    path.write_text("name,latency_ms\nmobilenetv2_100,1.5\n", encoding="utf-8")
    target = TableTarget(str(path))
    model = TotalsModel(target.name, target.digest, target.compiler, tuple(PRIOR_MEDIAN), 1e-8, GRIDS[0], 1)
    model.save(cache_folder(target) / "model.json")
    return target


def test_a_kept_compile_sharpens_what_everybody_is_told():
    graph, target = traced("mobilenetv2_050", 96), TARGET
    first, other = weight_values(graph, None), WeightValues({}, None)
    before = estimate(graph, target, first), estimate(graph, target, other)
    assert [e.own for e in before] == [0, 0]
    measurement = target.measure_graph(graph)
    assert keep(graph, target, measurement, first)
    after = estimate(graph, target, first), estimate(graph, target, other)
    assert [e.own for e in after] == pytest.approx([1, 1])
    assert [e.latency_ms for e in after] == pytest.approx([measurement.latency_ms] * 2, rel=1e-9)
    assert estimate(graph, EthosU("ethos-u55-128"), first).own == 0


def test_a_compile_kept_by_another_process_is_noticed():
    graph = sample(3)
    assert estimate(graph, TARGET).own == 0
    program = (
        "from workbench.estimators import keep\n"
        "from workbench.estimators.random_networks import sample\n"
        "from workbench.hardware import EthosU\n"
        "target = EthosU('ethos-u65-512')\n"
        "assert keep(sample(3), target, target.measure_graph(sample(3)))"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
    assert estimate(graph, TARGET).own == pytest.approx(1)


def test_files_changed_within_one_tick_of_the_clock_are_noticed(tmp_path):
    """Coarse clocks: everything here bears the same times."""

    def write(name: str, text: str) -> str:
        temporary = tmp_path / ".temporary"
        temporary.write_text(text)
        os.utime(temporary, ns=(now, now))
        temporary.replace(tmp_path / name)
        os.utime(tmp_path, ns=(now, now))
        return stamps.folder_stamp(tmp_path)

    now = tmp_path.stat().st_mtime_ns
    told = [stamps.folder_stamp(tmp_path), write("a", "1"), write("b", "1"), write("a", "2"), write("a", "22")]
    assert len({*told}) == 5
    assert stamps.folder_stamp(tmp_path) == told[-1]


def test_a_folder_at_rest_is_not_listed_again(tmp_path, monkeypatch):
    for i in range(200):
        (tmp_path / f"{i}.parquet").write_text("")
    os.utime(tmp_path, (1e9, 1e9))
    stamp = stamps.folder_stamp(tmp_path)
    listed: list[Path] = []
    monkeypatch.setattr(stamps, "_listing", lambda folder: listed.append(folder) or "")
    assert stamps.folder_stamp(tmp_path) == stamp
    assert not listed
    (tmp_path / "new").write_text("")
    assert stamps.folder_stamp(tmp_path) != stamp


def test_nothing_has_no_stamp(tmp_path):
    assert stamps.folder_stamp(tmp_path / "nowhere") == stamps.file_stamp(tmp_path / "nowhere") == ""


def test_it_is_bounded():
    cache, target = EstimateCache(3), TARGET
    graphs = [sample(i) for i in range(5)]

    def ask(graph: Graph, values: WeightValues = NORMAL) -> object:
        return cache.get(graph, target, values, "", lambda: computed(graph, target, values))

    first = [ask(graph) for graph in graphs[:3]]
    assert ask(graphs[0]) is first[0]
    ask(graphs[3])  # the one used longest ago goes
    assert len(cache) == 3
    assert ask(graphs[0]) is first[0]
    assert ask(graphs[1]) is not first[1] and ask(graphs[1]) == first[1]
    for graph in graphs:
        ask(graph)
    assert len(cache) == 3


def test_weights_are_not_held():
    class Model:
        def __call__(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
            return np.ones(shape, np.float32)

    graph, cache = sample(1), EstimateCache(8)

    def ask() -> tuple[float, ref[Model]]:
        model = Model()
        values = weight_values(graph, model)
        return cache.get(graph, TARGET, values, "", lambda: computed(graph, TARGET, values)).latency_ms, ref(model)

    latency, model = ask()
    assert latency != estimate(graph, TARGET).latency_ms
    gc.collect()
    assert model() is None
    cache.get(graph, TARGET, NORMAL, "", lambda: computed(graph, TARGET))
    assert len(cache) == 1


def test_blocks_are_those_of_the_module_tree_asked_about():
    """A graph read from a file has the same operators and no modules, hence other blocks."""
    graph = traced("mobilenetv2_050", 96)
    bare = replace(graph, modules=())
    assert bare.digest == graph.digest
    clear_estimates()
    assert len(estimate(bare, TARGET).blocks) == len(bare.blocks)
    assert len(estimate(graph, TARGET).blocks) == len(graph.blocks) != len(bare.blocks)


def test_the_target_is_the_one_asked_about(lab, tmp_path):
    """Two tables of the same content share their digest, and are two targets."""
    copy = tmp_path / "copy.csv"
    copy.write_bytes(Path(lab.path).read_bytes())
    assert estimate(sample(9), lab).target == f"table:{lab.path}"
    assert estimate(sample(9), TableTarget(str(copy))).target == f"table:{copy}"


def test_a_device_recalibrated_answers_anew(lab):
    first = estimate(sample(9), lab)
    assert estimate(sample(9), lab) is first
    model = device.model_of(lab)
    replace(model, unit_ms=2 * model.unit_ms).save(cache_folder(lab) / "model.json")
    assert estimate(sample(9), lab).latency_ms == pytest.approx(2 * first.latency_ms)


def test_an_accelerator_calibrated_answers_with_the_new_interval():
    graph = traced("mobilenetv2_050", 96)
    before = estimate(graph, TARGET)
    rows = read_rows(DATA)
    rows = rows[rows.digest == TARGET.digest]
    write_rows(rows.assign(cycles=(1.5 * rows.cycles).astype(int)), calibrations_folder() / "mine.parquet")
    after = estimate(graph, TARGET)
    assert after.latency_ms == before.latency_ms
    assert after.latency_interval_ms[1] > 1.4 * before.latency_interval_ms[1]
    write_rows(rows, calibrations_folder() / "mine.parquet")  # as many rows as before
    assert interval(TARGET, False, False)[1] * before.latency_ms == pytest.approx(before.latency_interval_ms[1])


def test_a_kept_answer_takes_a_fifth_of_a_millisecond(lab):
    """Also where thousands of compiles are kept; the fastest of many, as the machine does other things, too."""
    graph = sample(2)
    folder = compiles_folder(TARGET)
    assert keep(graph, TARGET, TARGET.measure_graph(graph))
    for i in range(2000):
        (folder / f"{i}.txt").write_text("")
    os.utime(folder, (1e9, 1e9))
    cpu = OnnxRuntimeCpu()
    device.model_of(lab).save(cache_folder(cpu) / "model.json")
    for target in (TARGET, lab, cpu):
        first = estimate(graph, target)
        taken = []
        for _ in range(50):
            start = perf_counter()
            assert estimate(graph, target) is first
            taken.append(perf_counter() - start)
        assert min(taken) < 2e-4
