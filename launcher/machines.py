"""The command `cluster`: a Ray cluster on this machine, up, down or looked at."""

import time
from typing import TYPE_CHECKING

import click

from launcher.options import JSON, open_client

if TYPE_CHECKING:
    from cluster.local import LocalCluster
    from launcher.client import Thaw
    from launcher.messages import Line
    from launcher.terminal import Terminal


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
@JSON
@click.pass_context
def up(ctx: click.Context, nodes: int, cpus_per_node: int | None, output: str) -> None:
    """Start a cluster.

    Commands without --address use it from then on.
    """
    from launcher.terminal import Terminal

    client = open_client(ctx)
    _print(client, Terminal(as_json=output == "json"), start(client, nodes, cpus_per_node))


def start(client: "Thaw", nodes: int, cpus_per_node: int | None = None) -> "LocalCluster":
    """Start a cluster and say on standard error how long it took."""
    from launcher.amounts import duration, plural
    from launcher.messages import Line
    from launcher.terminal import Terminal

    terminal = Terminal()
    terminal.say(Line("cluster", (f"starting {plural(nodes, 'node')} on this machine",)))
    began = time.monotonic()
    started = client.cluster_up(nodes, cpus_per_node)
    terminal.say(Line("", (f"ready in {duration(time.monotonic() - began)}",)))
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
