"""Keep proxies from between a command and a cluster on its own machine, and name the others."""

import os
from ipaddress import ip_address
from urllib.parse import urlsplit

NAMES = ("no_proxy", "NO_PROXY")


def is_on_loopback(address: str) -> bool:
    """Whether an address is one of this machine alone."""
    host = urlsplit(address).hostname or ""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def go_past_proxies(address: str) -> None:
    """Let requests to an address of this machine go there, not to a proxy that cannot reach it.

    What programs read is told to (no_proxy of this process); other addresses go as it says.
    """
    host = urlsplit(address).hostname
    if host is None or not is_on_loopback(address):
        return
    for name in NAMES:
        hosts = [part for part in os.environ.get(name, "").split(",") if part.strip()]
        if host not in hosts:
            os.environ[name] = ",".join([*hosts, host])


def through_proxy(address: str) -> str:
    """Say in a sentence, after a blank, which proxy requests to an address take; else nothing."""
    import requests

    found = requests.utils.get_environ_proxies(address, no_proxy=None)
    proxy = requests.utils.select_proxy(address, found)
    if not proxy:
        return ""
    host = urlsplit(address).hostname
    shown = urlsplit(proxy if "//" in proxy else f"//{proxy}")
    where = f"{shown.hostname}:{shown.port}" if shown.port else shown.hostname
    return (
        f" It was asked through the proxy {where}, which the environment names. Put {host} into "
        "NO_PROXY where it should be asked without"
    )
