"""Machines are read as the compiler reads them."""

import pytest
from ethosu.vela.architecture_features import ArchitectureFeatures, MemArea

from workbench.estimators.npu.machine import machine_of
from workbench.hardware import ETHOS_U, EthosU


@pytest.mark.parametrize("name", ETHOS_U)
def test_memories_are_the_compilers(name, capsys):
    default = ArchitectureFeatures.DEFAULT_CONFIG
    architecture = ArchitectureFeatures(
        vela_config_files=None,
        system_config=default,
        memory_mode=default,
        accelerator_config=name,
        max_blockdep=ArchitectureFeatures.MAX_BLOCKDEP,
        verbose_config=False,
        arena_cache_size=None,
    )
    capsys.readouterr()
    machine = machine_of(EthosU(name))
    for memory in (machine.near, machine.far, machine.constants):
        area = MemArea[memory.name]
        assert memory.bytes_per_cycle == architecture.memory_bandwidths_per_cycle[area]
        assert (memory.read_latency, memory.write_latency) == tuple(architecture.memory_latency[area])
        assert memory.burst_bytes == architecture.memory_burst_length[area]
    assert machine.near_bytes == architecture.arena_cache_size
    assert machine.near.name == architecture.fast_storage_mem_area.name
    assert machine.far.name == architecture.feature_map_storage_mem_area.name
