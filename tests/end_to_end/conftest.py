"""A person with a folder and a cluster, and a run of theirs that nothing happened to."""

import pytest

from cluster.local import LocalCluster
from tests.person import Person


@pytest.fixture(scope="package")
def person(two_nodes: LocalCluster, tmp_path_factory: pytest.TempPathFactory) -> Person:
    """Give a person a folder and the cluster of this machine."""
    return Person(tmp_path_factory.mktemp("person"))


@pytest.fixture(scope="package")
def undisturbed(person: Person) -> str:
    """Name a run of two workers that nothing happened to."""
    path = person.recipe("whole", tracking={"log_every_steps": 1, "tensorboard": True})
    person.thaw("submit", path)
    return "whole"
