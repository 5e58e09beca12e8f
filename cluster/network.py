"""Find the network interface that carries a node's address, and name it to gloo and NCCL."""

import ipaddress
import logging
from collections.abc import Mapping, MutableMapping, Sequence

LOG = logging.getLogger(__name__)
GLOO = "GLOO_SOCKET_IFNAME"
NCCL = "NCCL_SOCKET_IFNAME"


def local_interfaces() -> dict[str, list[str]]:
    """Return the IP addresses of each network interface of this machine."""
    import socket

    import psutil

    return {
        name: [
            each.address for each in addresses if each.family in (socket.AF_INET, socket.AF_INET6)
        ]
        for name, addresses in psutil.net_if_addrs().items()
    }


def find_interface(address: str, interfaces: Mapping[str, Sequence[str]]) -> str | None:
    """Return the interface that carries an address, None when none does.

    Every address of 127.0.0.0/8 is that of the interface with any of them: the kernel answers for
    all of them though only 127.0.0.1 is listed.
    """
    wanted = ipaddress.ip_address(address)
    for name, addresses in interfaces.items():
        found = [ipaddress.ip_address(each.partition("%")[0]) for each in addresses]
        if wanted in found:
            return name
        if wanted.is_loopback and any(
            each.is_loopback and each.version == wanted.version for each in found
        ):
            return name
    return None


def name_interface(
    address: str, interfaces: Mapping[str, Sequence[str]], environment: MutableMapping[str, str]
) -> None:
    """Tell gloo and NCCL which interface to use, unless somebody has told them already.

    gloo takes the address to which the host's own name resolves, and Debian resolves it to
    127.0.1.1, which it then tells the other hosts. NCCL takes a name as a prefix, unless a `=`
    stands before it. An address behind a translation is on no interface: both choose then.
    """
    name = find_interface(address, interfaces)
    if name is None:
        LOG.warning(
            "no network interface has the address %s of this node; gloo and NCCL choose one. Where "
            "workers do not find each other, name it: cluster.env.GLOO_SOCKET_IFNAME",
            address,
        )
        return
    environment.setdefault(GLOO, name)
    environment.setdefault(NCCL, f"={name}")
