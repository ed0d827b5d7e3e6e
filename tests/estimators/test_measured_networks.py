"""The shipped measurements are of the model as it is: intervals made of others would be somebody else's."""

import pytest

from workbench.estimators.calibration_networks import backbone
from workbench.estimators.cycle_model import modelled
from workbench.estimators.measured_networks import DATA, read_rows
from workbench.estimators.random_networks import sample
from workbench.hardware import ETHOS_U, EthosU

NETWORKS = ["mobilenetv2_100", "resnet18", "levit_128s", "efficientformerv2_s0", "sample3", "sample17"]


@pytest.mark.parametrize("name", NETWORKS)
def test_rows_are_what_the_model_says_today(name):
    rows = read_rows(DATA)
    rows = rows[(rows.network == name) & rows.target.isin(ETHOS_U)]
    graph = sample(int(name.removeprefix("sample"))) if name.startswith("sample") else backbone(name)
    count = 0
    for row in rows.drop_duplicates("target").itertuples():
        target = EthosU(row.target)
        network = modelled(graph, target)
        assert sum(network.cycles) == row.modelled, row.target
        assert (network.sram_bytes, network.dram_bytes) == (row.modelled_sram_bytes, row.modelled_dram_bytes), (
            row.target
        )
        assert network.composed == row.composed
        count += 1
    assert count >= 4
