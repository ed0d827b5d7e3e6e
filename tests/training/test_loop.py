"""Learning: it learns, it is the same each time, and a killed training ends where it would have."""

import subprocess
import sys
import threading
import time

import pytest
import torch

from workbench.errors import InputError
from workbench.files import home
from workbench.training import Schedule, fit, named, resolve_task, score

from .networks import small

SIZE = (3, 16, 16)
SHORT = Schedule(epochs=2, learning_rate=5e-3)


def equal(one, other):
    return all(torch.equal(one.state[k], other.state[k]) for k in one.state)


def test_digits_are_learned():
    trained = fit(small(), resolve_task("digits"), SIZE, Schedule(epochs=6, learning_rate=1e-2, batch_size=32))
    learned = small()
    learned.load_state_dict(trained.state)
    found = score(learned, resolve_task("digits"), SIZE)
    assert found.value > 0.93
    assert found.value == trained.epochs[-1]["score"]
    assert [row["epoch"] for row in trained.epochs] == [1, 2, 3, 4, 5, 6]
    # torchmetrics' figure is the share of right answers
    images, labels = resolve_task("digits").batch("val", torch.arange(359).numpy(), SIZE[1:])
    from workbench.training import prepared

    right = learned.eval()(prepared(images, SIZE, learned)).argmax(1) == labels
    assert found.value == pytest.approx(float(right.float().mean()))


@pytest.mark.parametrize("average", [0.0, 0.9])
def test_a_training_is_a_function_of_what_is_asked(average, monkeypatch, tmp_path):
    schedule = Schedule(epochs=2, learning_rate=5e-3, average=average)
    model = small()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    one = fit(model, resolve_task("digits"), SIZE, schedule)
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())  # not touched
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path))
    torch.rand(7)  # whatever was drawn elsewhere
    assert equal(one, fit(model, resolve_task("digits"), SIZE, schedule))
    other = fit(model, resolve_task("digits"), SIZE, Schedule(epochs=2, learning_rate=5e-3, average=average, seed=1))
    assert not equal(one, other)


def test_killed_and_begun_again_it_ends_with_the_same_weights(monkeypatch, tmp_path):
    """kill -9 in the second epoch of four."""
    code = (
        "from tests.training.networks import small\n"
        "from workbench.training import Schedule, fit, resolve_task\n"
        "fit(small(), resolve_task('digits'), (3, 16, 16), Schedule(epochs=4, learning_rate=5e-3))\n"
    )
    schedule = Schedule(epochs=4, learning_rate=5e-3)
    threads = torch.get_num_threads()
    process = subprocess.Popen([sys.executable, "-c", f"import torch; torch.set_num_threads({threads})\n{code}"])
    folder = home() / "training"
    while process.poll() is None and not list(folder.glob("*.safetensors")):
        time.sleep(0.005)
    process.kill()
    process.wait()
    assert len(list(folder.glob("*.safetensors"))) == 1
    seen = []
    resumed = fit(small(), resolve_task("digits"), SIZE, schedule, progress=lambda said, *_: seen.append(said))
    assert not any(said.startswith("epoch 1/") for said in seen)
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path))
    whole = fit(small(), resolve_task("digits"), SIZE, schedule)
    assert equal(resumed, whole)
    assert resumed.epochs == whole.epochs


class Cancelled(Exception):
    pass


@pytest.mark.parametrize("options", [{"average": 0.9}, {"optimizer": "sgd"}, {"optimizer": "nadamw"}])
def test_cancelled_it_stops_at_once_and_goes_on_to_the_same_weights(options, monkeypatch, tmp_path):
    """Whatever the optimiser keeps for each parameter, in the order in which the parameter lies in memory."""
    task, schedule = resolve_task("digits"), Schedule(epochs=3, learning_rate=5e-3, **options)

    def cancel(_part, done, total):
        if done > total // 2:
            raise Cancelled

    model, threads = small(), threading.active_count()
    with pytest.raises(Cancelled):
        fit(model, task, SIZE, schedule, progress=cancel)
    assert threading.active_count() == threads
    assert len(list((home() / "training").glob("*.safetensors"))) == 1
    resumed = fit(model, task, SIZE, schedule)
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path))
    assert equal(resumed, fit(model, task, SIZE, schedule))
    assert all(value.is_contiguous() for value in resumed.state.values())


def test_a_damaged_checkpoint_begins_anew():
    fit(small(), resolve_task("digits"), SIZE, SHORT)
    (file,) = (home() / "training").glob("*.safetensors")
    one = fit(small(), resolve_task("digits"), SIZE, SHORT)
    file.write_bytes(file.read_bytes()[:1000])
    assert equal(one, fit(small(), resolve_task("digits"), SIZE, SHORT))


def test_a_teacher_is_imitated():
    task, size = resolve_task("digits"), SIZE
    teacher = small()
    teacher.load_state_dict(fit(small(), task, size, Schedule(epochs=4, learning_rate=1e-2)).state)
    only = Schedule(epochs=3, learning_rate=1e-2, teaching=1.0)
    student = small()
    with torch.no_grad():
        student.head.weight.mul_(0.5)
    student.load_state_dict(fit(student, task, size, only, teacher).state)
    assert score(student, task, size).value > 0.6  # never saw a label


def test_what_does_not_fit_is_told_before_anything_is_learned():
    with pytest.raises(InputError, match=r"has 5 outputs, and digits needs 10.*task='digits'"):
        fit(small(5), resolve_task("digits"), SIZE, SHORT, name="small")
    with pytest.raises(InputError, match="batch_size is 4096, and digits has 1079 pictures"):
        fit(small(), resolve_task("digits"), SIZE, Schedule(batch_size=4096))
    assert not (home() / "training").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, "epochs is 0; it must be a whole number of at least 1"),
        ({"batch_size": 1}, "batch_size is 1; it must be a whole number of at least 2"),
        ({"learning_rate": -1}, "learning_rate is -1; it must be above 0"),
        ({"warmup": 2}, "warmup is 2; it must be a share"),
        ({"learnin_rate": 1}, "the nearest is 'learning_rate'"),
    ],
)
def test_schedules_that_cannot_be(options, message):
    with pytest.raises(InputError, match=message):
        named(options)


def test_a_hopeless_training_ends_after_its_first_epoch_and_goes_on_without_the_floor(monkeypatch, tmp_path):
    task = resolve_task("digits")
    stopped = fit(small(), task, SIZE, Schedule(epochs=2, learning_rate=5e-3, floor=1.0))
    assert [row["epoch"] for row in stopped.epochs] == [1]
    on = fit(small(), task, SIZE, Schedule(epochs=2, learning_rate=5e-3, floor=0.01))
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path))
    whole = fit(small(), task, SIZE, Schedule(epochs=2, learning_rate=5e-3))
    assert on.epochs[0] == stopped.epochs[0] and equal(on, whole)
