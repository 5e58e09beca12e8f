"""Every launcher test has its own home and current folder, and no cluster in its environment."""

import pytest

from tests.launcher.fake_cluster import FakeCluster


@pytest.fixture(autouse=True)
def own_places(tmp_path, monkeypatch):
    for name in ("THAW_ADDRESS", "RAY_API_SERVER_ADDRESS", "RAY_ADDRESS", "THAW_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("THAW_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def cluster():
    return FakeCluster()


@pytest.fixture(scope="session")
def docstrings(tmp_path_factory):
    """The demo's rows, written once for all tests."""
    from launcher.docstrings import write_docstrings

    return write_docstrings(tmp_path_factory.mktemp("docstrings"))
