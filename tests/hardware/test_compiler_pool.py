"""The compiler is a guest: whatever it does, the caller gets an answer and the next compile works."""

import os
import signal
import threading
import time
from itertools import pairwise

import pytest

from workbench.hardware.ethos_u.compiler_pool import CompilerPool
from workbench.hardware.tflite import write_tflite

from ..graph.networks import Residual
from ..graph.zoo import traced

U65 = {"accelerator": "ethos-u65-512"}


@pytest.fixture(scope="module")
def pool():
    pool = CompilerPool(1)
    yield pool
    pool.close()


@pytest.fixture(scope="module")
def network() -> bytes:
    from workbench.graph.trace import trace

    return write_tflite(trace(Residual(), (3, 32, 32))).data


def test_operators_add_up_to_the_total(pool, network):
    answer = pool.compile(U65, network)
    assert answer["status"] == "compiled"
    assert sum(op["op_cycles"] for op in answer["ops"]) == answer["cycles"] > 0


def test_the_same_file_gives_the_same_answer(pool, network):
    assert pool.compile(U65, network) == pool.compile(U65, network)


@pytest.mark.parametrize("keep", [0, 10, 100, 0.5, 0.99])
def test_truncated_files_are_refused(pool, network, keep):
    size = keep if isinstance(keep, int) else int(keep * len(network))
    answer = pool.compile(U65, network[:size])
    assert answer["status"] == "refused"
    assert "TFLite" in answer["reason"] or "end of the file" in answer["reason"]
    assert pool.compile(U65, network)["status"] == "compiled"


def test_a_hang_is_a_timeout_and_the_worker_is_replaced(pool, network):
    assert pool.compile(U65, network)["status"] == "compiled"
    os.kill(pool._idle.queue[0]._process.pid, signal.SIGSTOP)  # it hangs, however fast the machine is
    answer = pool.compile(U65, network, time_limit_s=0.5)
    assert answer["status"] == "timeout"
    assert "0.5 s" in answer["reason"]
    assert pool.compile(U65, network)["status"] == "compiled"


def test_a_death_is_a_crash_with_the_signal(network):
    pool = CompilerPool(1)
    assert pool.compile(U65, network)["status"] == "compiled"
    worker = pool._idle.get()
    pool._idle.put(worker)
    big = write_tflite(traced("mobilenetv2_100", 224)).data
    killer = threading.Timer(0.2, worker._process.send_signal, [11])
    killer.start()
    answer = pool.compile(U65, big)
    killer.join()
    assert (answer["status"], "SIGSEGV" in answer["reason"]) == ("crashed", True)
    assert pool.compile(U65, network)["status"] == "compiled"
    pool.close()


def test_the_caller_goes_on_while_it_compiles(pool):
    """Vela holds the interpreter's lock while it works: in its own process it is not ours."""
    big = write_tflite(traced("mobilenetv2_100", 224)).data
    pool.compile(U65, big)
    ticks = []
    worker = threading.Thread(target=pool.compile, args=(U65, big))
    worker.start()
    while worker.is_alive():
        ticks.append(time.perf_counter())
        time.sleep(0.005)
    gaps = [b - a for a, b in pairwise(ticks)]
    assert len(ticks) > 5
    assert max(gaps) < 0.5 * (ticks[-1] - ticks[0])


def test_nothing_is_printed(pool, network, capfd):
    pool.compile(U65, network)
    assert capfd.readouterr() == ("", "")
