"""Which network interface the ranks use."""

import socket

import pytest

from cluster.network import GLOO, NCCL, find_interface, local_interfaces, name_interface

HOST = {
    "lo": ["127.0.0.1", "::1"],
    "eth0": ["10.88.0.2", "fe80::1%eth0"],
    "eth0.7": ["10.88.7.2", "10.88.7.3"],
    "ib0": ["192.168.4.2", "fd00::2"],
}


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("10.88.0.2", "eth0"),
        ("10.88.7.3", "eth0.7"),
        ("fd00::2", "ib0"),
        ("fe80::1", "eth0"),
        ("127.0.0.1", "lo"),
        ("127.0.0.3", "lo"),
        ("::1", "lo"),
        ("10.88.0.20", None),
    ],
)
def test_interface_is_the_one_with_the_address(address: str, name: str | None) -> None:
    assert find_interface(address, HOST) == name


def test_gloo_and_nccl_are_told_the_exact_name() -> None:
    environment: dict[str, str] = {}
    name_interface("10.88.0.2", HOST, environment)
    assert environment == {GLOO: "eth0", NCCL: "=eth0"}


def test_what_somebody_set_stays() -> None:
    environment = {GLOO: "ib0"}
    name_interface("10.88.0.2", HOST, environment)
    assert environment == {GLOO: "ib0", NCCL: "=eth0"}


def test_an_address_that_no_interface_has_changes_nothing() -> None:
    environment: dict[str, str] = {}
    name_interface("203.0.113.7", HOST, environment)
    assert environment == {}


def test_the_interfaces_of_this_machine_are_listed() -> None:
    names = {name for _, name in socket.if_nameindex()}
    found = local_interfaces()
    assert set(found) <= names
    assert find_interface("127.0.0.1", found) is not None
