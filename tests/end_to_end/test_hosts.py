"""Workers and a client on hosts with addresses of their own, whose names lead to the loopback."""

import time
from collections.abc import Iterator

import pytest

from tests.end_to_end.hosts import CLIENT, WORKERS, Hosts, started_hosts, why_not
from tests.person import Person

pytestmark = [pytest.mark.slow, pytest.mark.proof]


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    """Start the hosts once; where there can be none, say loudly that nothing was tried."""
    if reason := why_not():
        pytest.skip(f"NOT TRIED, several hosts on this machine: {reason}")
    with started_hosts(tmp_path_factory.mktemp("hosts")) as hosts:
        yield hosts


@pytest.fixture(scope="module")
def guest(hosts: Hosts, tmp_path_factory: pytest.TempPathFactory) -> Person:
    """Give a person who sits at the client's host."""
    home = {"THAW_HOME": str(tmp_path_factory.mktemp("home"))}
    folder = tmp_path_factory.mktemp("guest")
    return Person(folder, hosts.on(CLIENT), hosts.environment | home)


def test_hosts_whose_names_lead_to_the_loopback_train_together(guest: Person) -> None:
    guest.thaw("submit", guest.recipe("together"))
    (attempt,) = guest.records("together", "attempt")
    assert sorted(attempt["nodes"]) == [*WORKERS]
    assert [each["ok"] for each in guest.records("together", "ledger")] == [True] * 20


def test_an_interface_that_no_host_has_is_tried_once(guest: Person) -> None:
    interface = "cluster.env.GLOO_SOCKET_IFNAME=eth9"
    out = guest.thaw("submit", guest.recipe("astray"), "--set", interface, code=4)
    assert "The workers cannot reach each other: no network interface for eth9" in out
    assert len(guest.records("astray", "attempt")) == 1


def test_a_client_that_is_cut_off_says_so_and_comes_back(hosts: Hosts, guest: Person) -> None:
    process = guest.start("submit", guest.recipe("cut"))
    assert process.stdout is not None
    said: list[str] = []
    try:
        guest.wait(process, lambda: guest.steps("cut") >= 5)
        hosts.plug(CLIENT, "down")
        limit = time.monotonic() + 60
        for line in process.stdout:
            said.append(line)
            assert time.monotonic() < limit, said
            if "no answer from the cluster" in line:
                break
    finally:
        hosts.plug(CLIENT, "up")
    rest, err = process.communicate(timeout=90)
    assert process.returncode == 0, (said, rest, err)
    assert "the cluster answers again, after " in rest
    assert "done" in rest
