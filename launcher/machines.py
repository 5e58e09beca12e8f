"""The command `cluster`: a Ray cluster on this machine, up, down or looked at."""

import time
from ipaddress import IPv4Address, ip_address
from typing import TYPE_CHECKING

import click

from launcher.options import JSON, open_client

if TYPE_CHECKING:
    from cluster.local import LocalCluster
    from launcher.client import Thaw
    from launcher.messages import Line
    from launcher.terminal import Terminal


def _ip_address(ctx: click.Context, param: click.Parameter, value: str) -> str:
    """Refuse what is no address of this machine's network: names may point elsewhere."""
    try:
        return str(IPv4Address(value))
    except ValueError as error:
        raise click.BadParameter(
            f"{value!r} is not an IPv4 address. Give 127.0.0.1, this machine's address, or 0.0.0.0 "
            "for all of them."
        ) from error


@click.group()
def cluster() -> None:
    """Run a Ray cluster of several nodes on this machine."""


@cluster.command()
@click.option("--nodes", default=2, show_default=True, type=click.IntRange(1, 16))
@click.option(
    "--cpus-per-node",
    type=click.IntRange(1, 1024),
    help="CPUs that each node offers. Else this machine's, shared out.",
)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    callback=_ip_address,
    help="Address at which its dashboard listens. Any other lets other machines submit jobs.",
)
@JSON
@click.pass_context
def up(ctx: click.Context, nodes: int, cpus_per_node: int | None, host: str, output: str) -> None:
    """Start a cluster.

    Commands without --address use it from then on. It asks for a token, which lies in a file that
    only you can read. Its nodes have the environment of this command: variables that are set now,
    such as HF_TOKEN, can be named in cluster.secrets; others are read from ~/.thaw/secrets.
    """
    from launcher.terminal import Terminal

    client = open_client(ctx)
    started = start(client, nodes, cpus_per_node, host)
    _print(client, Terminal(as_json=output == "json"), started)


def start(
    client: "Thaw", nodes: int, cpus_per_node: int | None = None, host: str = "127.0.0.1"
) -> "LocalCluster":
    """Start a cluster and say on standard error how long it took."""
    from launcher.amounts import duration, plural
    from launcher.messages import Line
    from launcher.terminal import Terminal

    terminal = Terminal()
    terminal.say(Line("cluster", (f"starting {plural(nodes, 'node')} on this machine",)))
    began = time.monotonic()
    started = client.cluster_up(nodes, cpus_per_node, host=host)
    terminal.say(Line("", (f"ready in {duration(time.monotonic() - began)}",)))
    if not ip_address(host).is_loopback:
        reached = f"other machines reach the dashboard at {host}, without encryption"
        asked = f"whoever has the token of {started.token_path} can run code as you"
        terminal.say(Line("warning", (reached, asked), "warning"))
    return started


@cluster.command()
@click.pass_context
def down(ctx: click.Context) -> None:
    """End the cluster.

    Its runs go on with `thaw resume` on another.
    """
    from launcher.messages import Line
    from launcher.terminal import Terminal

    ended = open_client(ctx).cluster_down()
    Terminal().say(Line("cluster", ("ended" if ended else "none was running",)))


@cluster.command()
@JSON
@click.pass_context
def status(ctx: click.Context, output: str) -> None:
    """Show the cluster: address, nodes, CPUs."""
    from configs.errors import NotFoundError
    from launcher.terminal import Terminal

    client = open_client(ctx)
    found = client.cluster()
    if found is None:
        raise NotFoundError("No cluster runs on this machine. Start one with `thaw cluster up`.")
    _print(client, Terminal(as_json=output == "json"), found)


def _print(client: "Thaw", terminal: "Terminal", found: "LocalCluster") -> None:
    if terminal.as_json:
        live = client.backend.machines.count_live_nodes(found)
        terminal.json({**found.model_dump(mode="json"), "live_nodes": live})
    else:
        terminal.lines(cluster_lines(client, found))


def cluster_lines(client: "Thaw", found: "LocalCluster") -> "list[Line]":
    """Say where the cluster is, how large, and how it ends."""
    from launcher.amounts import plural
    from launcher.messages import Line

    live = client.backend.machines.count_live_nodes(found)
    nodes = plural(found.num_nodes, "node")
    alive = () if live == found.num_nodes else (f"only {live} alive",)
    return [
        Line(
            "cluster",
            (found.address, nodes, *alive, f"{plural(found.cpus_per_node, 'CPU')} each"),
        ),
        Line("stop it", ("thaw cluster down",)),
    ]


COMMANDS = {"cluster": cluster}
