"""What tests of several rooms share: a Ray cluster of two nodes and an S3 server, both here.

With `--reached` every refusal that a test reaches is written down, see tests/refusals.py.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.local import LocalCluster, start_local_cluster, stop_local_cluster
from tests.object_store import ObjectStore, started_object_store
from tests.refusals import Recorder

TESTS = Path(__file__).parent


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that measures which refusals the tests reach."""
    parser.addoption("--reached", action="store_true", help="write down which refusals are reached")


def pytest_configure(config: pytest.Config) -> None:
    """Begin to measure where it is asked for."""
    if config.getoption("--reached"):
        config.pluginmanager.register(Recorder())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what starts Ray nodes, which must all be in one process."""
    for item in items:
        room = item.path.relative_to(TESTS).parts[0]
        if room in ("cluster", "end_to_end") or "two_nodes" in getattr(item, "fixturenames", ()):
            item.add_marker("cluster")


@pytest.fixture(scope="session")
def two_nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    """Start two nodes of four CPUs each, once for all tests, as the cluster of this THAW_HOME."""
    home: Path = tmp_path_factory.mktemp("thaw-home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("THAW_HOME", str(home))
        for name in ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS", "THAW_ADDRESS", "RAY_AUTH_TOKEN"):
            patch.delenv(name, raising=False)
        patch.setenv("CANARY_TOKEN", "canary-of-the-environment/5f1d+7c")
        yield start_local_cluster(2, 4)
        stop_local_cluster()


@pytest.fixture(scope="session")
def object_store() -> Iterator[ObjectStore]:
    """Start an S3 server on this machine, once for all tests."""
    with started_object_store() as store:
        yield store
