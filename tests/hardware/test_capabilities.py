"""What targets say of themselves: the package asks this, and never what class a target is."""

from dataclasses import dataclass

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

import workbench as wb
from workbench.errors import InputError, UnknownName, WorkbenchError
from workbench.hardware import ETHOS_U, EthosU, Measurement, OnnxRuntimeCpu, Target, resolve


@dataclass(frozen=True)
class Lab(Target):
    """Another package's target: the abstract members and a field of its own that is called like ours."""

    macs: int = 7
    clock_hz: float = 3.0

    @property
    def name(self):
        return "lab"

    @property
    def digest(self):
        return "0123456789abcdef"

    @property
    def channel_multiple(self):
        return 4

    @property
    def compiler(self):
        return "lab 1"

    def measure(self, source, time_limit_s=120.0):
        return Measurement("measured", self.name, kind="measured", latency_ms=1.0)

    def measure_graph(self, graph, weights=None, time_limit_s=120.0):
        return self.measure(b"")


@pytest.mark.parametrize("target", [Lab(), OnnxRuntimeCpu()], ids=["lab", "cpu"])
def test_a_device_that_is_timed_needs_no_more_than_the_abstract_members(target):
    assert (target.compiles_tflite, target.mac_array, target.describe()) == (False, None, target.name)
    assert "measured on the device" in target.latency_note
    assert target.configured() is target
    with pytest.raises(InputError, match=f"{target.name} has no option 'arena_bytes'"):
        target.configured(arena_bytes=1)


def test_a_foreign_target_goes_through_findings_and_widths():
    import torch

    layers = [torch.nn.Conv2d(3, 8, 3, 2, 1), torch.nn.ReLU(), torch.nn.Conv2d(8, 4, 1)]
    session = wb.open(torch.nn.Sequential(*layers), target=Lab(), input_size=(3, 16, 16))
    assert "lab" in repr(session) and session.blocks["latency_ms"].isna().all()
    assert session.bench().view["target"] == "lab"
    with pytest.raises(WorkbenchError, match="lab is not calibrated"):
        session.findings()


@pytest.mark.parametrize("name", ETHOS_U)
def test_an_accelerator_says_its_rate(name):
    target = resolve(name)
    assert target.compiles_tflite
    assert target.mac_array.macs_per_ms == int(name.rpartition("-")[2]) * target.clock_hz / 1000
    assert target.describe() == name
    assert "no chip was measured" in target.latency_note


def test_a_design_says_its_own_rate():
    target = wb.Target.ethos_u("ethos-u65-512", macs=300, clock_mhz=400)
    assert target.mac_array.macs_per_ms == 300 * 400e3


OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "arena_bytes": st.integers(1, 2**24),
        "strategy": st.sampled_from(["size", "performance"]),
        "clock_mhz": st.floats(100, 2000),
        "sram_gbps": st.floats(0.5, 50),
        "macs": st.integers(64, 400),
        "sram_read_latency": st.integers(0, 100),
    },
)


@settings(max_examples=50, deadline=None)
@given(st.sampled_from(ETHOS_U[:4]), OPTIONS)
def test_a_description_is_plain_data_that_gives_the_target_again(accelerator, options):
    target = wb.Target.ethos_u(accelerator, **options)
    text = yaml.safe_dump(target.describe())
    assert resolve(yaml.safe_load(text)) == target
    assert resolve(yaml.safe_load(text)).digest == target.digest


def test_a_configuration_is_changed_option_by_option():
    target = EthosU("ethos-u55-128", strategy="size").configured(arena_bytes=1024)
    assert target == EthosU("ethos-u55-128", strategy="size", arena_bytes=1024)
    assert target.configured(strategy="performance", clock_mhz=250.0).name == (
        "ethos-u55-128 (arena_bytes=1024, clock_mhz=250.0)"
    )


@pytest.mark.parametrize(
    ("description", "error", "words"),
    [
        ({"accelerator": "ethos-u65-521"}, UnknownName, "nearest is 'ethos-u65-512'"),
        ({"accelerator": "onnxruntime-cpu", "strategy": "size"}, UnknownName, "unknown accelerator 'onnxruntime-cpu'"),
        ({"accelerator": "ethos-u65-512", "memory": "x"}, UnknownName, "unknown target option 'memory'"),
        ({"accelerator": "ethos-u65-512", "strategy": 3}, UnknownName, "unknown strategy 3"),
        ({"accelerator": "ethos-u65-512", "arena_bytes": "much"}, InputError, "arena_bytes is .much.; .* number"),
        ({"accelerator": "ethos-u65-512", "clock_mhz": "fast"}, InputError, "clock_mhz is 'fast'"),
        ({"accelerator": "ethos-u65-512", "ini": "/no/such.ini"}, InputError, "no readable"),
        ({"accelerator": ["ethos-u65-512"]}, UnknownName, "unknown accelerator"),
    ],
)
def test_a_description_that_is_wrong_says_so(description, error, words):
    with pytest.raises(error, match=words):
        resolve(description)
