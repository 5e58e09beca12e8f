"""The real modules have what the interfaces name."""

import inspect

import pytest

from launcher.backend import DataSets, Inventory, Jobs, Machines, Runs, real_backend
from tests.launcher.fake_cluster import FakeCluster

INTERFACES = {
    "jobs": Jobs,
    "inventory": Inventory,
    "runs": Runs,
    "machines": Machines,
    "data_sets": DataSets,
}


@pytest.mark.parametrize("name", sorted(INTERFACES))
def test_module_and_fake_take_what_the_interface_names(name):
    interface, module = INTERFACES[name], getattr(real_backend(), name)
    asked = [key for key, value in vars(interface).items() if inspect.isfunction(value)]
    for key in (key for key in asked if not key.startswith("_")):
        wanted = [*inspect.signature(getattr(interface, key)).parameters][1:]
        real = inspect.signature(getattr(module, key)).parameters
        assert [*real][: len(wanted)] == wanted, key
        rest = [*real.values()][len(wanted) :]
        assert all(parameter.default is not parameter.empty for parameter in rest), key
        assert [*inspect.signature(getattr(FakeCluster(), key)).parameters] == wanted, key
