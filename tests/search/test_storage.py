"""What is stored is found again; a candidate belongs to one driver, and comes back when that one is gone."""

from types import SimpleNamespace

import optuna
import pytest

from workbench.errors import FileFormatError, InputError
from workbench.search.options import Options, options_of
from workbench.search.row import Row
from workbench.search.storage import Process, create_store, open_store, storage_url, this_process
from workbench.space import Choice, Slot, Space

SPACE = Space((Slot("", (Choice("as it is"), Choice("half"))), Slot("a", (Choice("as it is"), Choice("fuse")))))
COSTS = {"latency_ms": 1.0}


@pytest.fixture
def store(tmp_path):
    objectives = ("accuracy", "latency_ms")
    return create_store(storage_url(tmp_path / "s.db"), "s", objectives, {"study": {}, "request": "run"})


def test_optuna_reads_a_study_as_its_own(store, tmp_path):
    for number in range(3):
        store.add(Row(-1, (0, number % 2), "drawn", "waiting", str(number), COSTS), SPACE, {"sram_kib": number - 1.0})
    store.finish(store.rows()[1], "trained", {"accuracy": 0.5, "nothing": float("nan")}, (0.5, 1.0))
    study = optuna.load_study(study_name=None, storage=store.url)
    trial = study.trials[1]
    assert trial.values == [0.5, 1.0] and trial.params == {"network": "as it is", "a": "fuse"}
    assert trial.constraints == {"sram_kib": 0.0}
    assert [t.state.name for t in study.trials] == ["WAITING", "COMPLETE", "WAITING"]
    row = open_store(tmp_path / "s.db").rows()[1]
    assert (row.number, row.choices, row.accuracy, row.costs) == (1, (0, 1), 0.5, COSTS)
    assert row.result["nothing"] is None


def test_a_candidate_belongs_to_one_driver_and_comes_back_when_that_is_gone(store):
    store.add(Row(-1, (0, 0), "drawn", "waiting", "g", COSTS), SPACE, {})
    own, gone = this_process(), Process(this_process().host, 1 << 30, "0")
    store.beat(gone)
    (row,) = store.rows()
    assert store.claim(row, gone) and not store.claim(row, own)
    assert [row.state for row in store.rows()] == ["running"] and store.drivers() == []
    assert store.return_lost() == 1 and store.claim(row, own)
    store.beat(own)
    assert store.return_lost() == 0 and store.drivers() == [own]


def test_of_two_candidates_with_one_network_there_is_one(store):
    for choices in ((0, 0), (0, 1)):
        store.add(Row(-1, choices, "drawn", "waiting", "g", COSTS), SPACE, {})
    assert [row.choices for row in store.rows()] == [(0, 0)]


def test_files_lie_beside_by_their_content_and_damage_is_noticed(store, tmp_path):
    name = store.keep("weights", b"content")
    assert store.keep("weights", b"content") == name and store.kept(name) == b"content"
    assert store.folder == tmp_path / "s.files"
    (store.folder / name).write_bytes(b"another")
    with pytest.raises(FileFormatError, match="is damaged"):
        store.kept(name)
    with pytest.raises(FileFormatError, match="is missing"):
        store.kept("weights/none.safetensors")


def test_what_is_no_study_is_told(tmp_path, store):
    with pytest.raises(InputError, match="the file does not exist"):
        open_store(tmp_path / "other.db")
    with pytest.raises(InputError, match=r"try notes\.db"):
        storage_url(tmp_path / "notes.txt")
    with pytest.raises(InputError, match="unknown study 't'; the nearest is 's'"):
        open_store(tmp_path / "s.db", "t")
    with pytest.raises(InputError, match="has a study 's' already"):
        create_store(store.url, "s", ("accuracy",), {})
    create_store(store.url, "t", ("accuracy",), {})
    with pytest.raises(InputError, match="holds 2 studies; give name=, of s, t"):
        open_store(tmp_path / "s.db")
    with pytest.raises(FileFormatError, match="was not made by the workbench"):
        open_store(tmp_path / "s.db", "t")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"strategy": "hybird"}, "unknown strategy 'hybird'; the nearest is 'hybrid'"),
        ({"trials": 0}, "trials is 0; it must be a whole number of at least 1"),
        ({"pool": 3}, "pool is 3; it must be a whole number of at least 40"),
        ({"objectives": ("latency_ms",)}, "'accuracy' must be one"),
        ({"objectives": ("accuracy", "latency")}, "unknown objective 'latency'; the nearest is 'latency_ms'"),
        ({"objectives": "accuracy"}, "must be several names"),
        ({"budgets": {"sram": 3}}, "unknown budget 'sram'; the nearest is 'sram_kib'"),
        ({"budgets": {"sram_kib": -1}}, "sram_kib is -1; a budget must be above 0"),
        ({"seed": -1}, "seed is -1"),
        ({"controls": 2}, "controls is 2"),
        ({"epoch": 2}, "unknown option of a search 'epoch'; the nearest is 'epochs'"),
    ],
)
def test_options_that_break_a_rule_are_refused(values, words):
    with pytest.raises(InputError, match=words):
        options_of(values)


def test_options_are_plain_data_and_back():
    options = Options(trials=5, budgets={"sram_kib": 512.0}, schedule={"batch_size": 8})
    values = SimpleNamespace(**options.to_dict())
    assert options_of({**vars(values), "objectives": tuple(values.objectives)}) == options
