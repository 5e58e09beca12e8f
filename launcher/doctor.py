"""The command `doctor`: what of this machine and its cluster is in order, and what to do else."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from launcher.options import ADDRESS, JSON, OVERRIDES, STORAGE, checked_recipe, open_client

if TYPE_CHECKING:
    from cluster.examination import Examined
    from cluster.health import Finding
    from cluster.machine_facts import MachineFacts
    from configs.schema import Recipe
    from launcher.client import Thaw
    from launcher.messages import Line

EXIT_BAD = 4


@click.command()
@click.argument("recipe", type=click.Path(), required=False, callback=checked_recipe)
@OVERRIDES
@ADDRESS
@STORAGE
@JSON
@click.pass_context
def doctor(
    ctx: click.Context,
    recipe: Path | None,
    overrides: tuple[str, ...],
    address: str | None,
    storage: str | None,
    output: str,
) -> int:
    """Check this machine and the cluster, and say what to do.

    Security, versions, storage, disks, clocks, ports, GPUs. With a recipe also what that asks for.
    The exit code is 0 unless something is bad.
    """
    from cluster.health import worst
    from launcher.terminal import Terminal

    client = open_client(ctx, address, storage)
    terminal = Terminal(as_json=output == "json")
    asked = client.load(recipe, overrides) if recipe is not None else client.load(_anything())
    findings = []
    for finding in examine(client, asked):
        findings.append(finding)
        if not terminal.as_json:
            terminal.lines([line_of(finding)])
    if terminal.as_json:
        terminal.json({"findings": [vars(finding) for finding in findings]})
    return EXIT_BAD if worst(findings) == "bad" else 0


def examine(client: "Thaw", recipe: "Recipe") -> "Iterator[Finding]":
    """Look at this machine, at the door of the cluster, then at its nodes."""
    from importlib.metadata import version

    from cluster import health
    from cluster.machine_facts import look
    from configs.errors import THAW_ERRORS, ClusterError

    here = look(storage=recipe.storage)
    yield health.judge_ray(version("ray"), "here")
    address = None
    try:
        address = client.where.address_of(recipe)
        yield from _tokens(address)
        yield from _cluster(client, address, recipe, here)
    except THAW_ERRORS as error:
        none = address is None and isinstance(error, ClusterError)
        if address is None:
            yield from _tokens(None)
        yield health.Finding("warn" if none else "bad", "cluster", str(error))
        yield from health.judge_machine(here)


def _tokens(address: str | None) -> "Iterator[Finding]":
    """Look at the token for a cluster, and at all files with tokens and secrets."""
    from cluster import health
    from cluster.auth import find_token, thaw_home
    from cluster.secrets import secrets_file

    token = find_token(address) if address else None
    files = [token.path] if token and token.path else []
    files += [Path.home() / ".ray" / "auth_token", thaw_home() / "cluster_token", secrets_file()]
    yield from health.judge_token_files(token, list(dict.fromkeys(files)))


def _cluster(
    client: "Thaw", address: str, recipe: "Recipe", here: "MachineFacts"
) -> "Iterator[Finding]":
    """Look at a cluster from outside and, by a job, from inside."""
    from cluster import health
    from launcher.amounts import plural

    door = client.backend.inventory.look_at_door(address)
    nodes = client.backend.inventory.list_nodes_at(address)
    cpus = sum(node.resources.get("CPU", 0) for node in nodes)
    yield health.Finding("ok", "cluster", f"{address}, {plural(len(nodes), 'node')}, {cpus:g} CPUs")
    yield health.judge_ray(door.ray, "on the cluster")
    found = _ask_job(client, address, recipe)
    clusters = [one for facts in found.nodes for one in facts.clusters]
    hosts = [one.dashboard_host for one in clusters if one.session == found.session]
    yield health.judge_door(address, door.asks_for_token, [host for host in hosts if host])
    yield from health.judge_versions(here, found.nodes)
    yield health.judge_clocks({"the cluster": door.ahead_s, **found.offsets})
    yield from _storage(recipe, found)
    asks = {recipe.zero.offload_optimizer, recipe.zero.offload_parameters} != {"none"}
    for facts in health.machines_of(found.nodes):
        yield from health.judge_machine(facts)
        yield from health.judge_compiler(facts, is_asked=asks)
        yield from health.judge_ports(facts, found.session)
        on_it = {each.host for each in found.nodes if each.machine == facts.machine}
        in_ray = sum(node.resources.get("GPU", 0) for node in nodes if node.host in on_it)
        if (gpus := health.judge_gpus(facts.host, in_ray, facts)) is not None:
            yield gpus


def _storage(recipe: "Recipe", found: "Examined") -> "Iterator[Finding]":
    from cluster.health import Finding

    for problem in found.storage_problems:
        do = "name a place that every node sees and can write: storage, or --storage"
        yield Finding("bad", "storage", problem, do)
    if not found.storage_problems:
        said = f"{recipe.storage}, written and seen by {_all(found)}"
        yield Finding("ok", "storage", said)
    if found.secret_problems:
        yield Finding("bad", "secrets", found.secret_problems)
    elif recipe.cluster.secrets:
        names = ", ".join(recipe.cluster.secrets)
        yield Finding("ok", "secrets", f"{names} on {_all(found)}")


def _all(found: "Examined") -> str:
    from launcher.amounts import plural

    return f"all {plural(len(found.nodes), 'node')}" if len(found.nodes) > 1 else "1 node"


def _ask_job(client: "Thaw", address: str, recipe: "Recipe") -> "Examined":
    """Have a job look at all nodes; raises ClusterError when it cannot."""
    from cluster.examination import read_examined
    from configs.errors import ClusterError
    from configs.records import Ended

    job_id = client.backend.jobs.submit(address, "doctor", recipe, {})
    found = None
    said = "it said nothing"
    for entry in client.backend.jobs.follow(address, job_id):
        if isinstance(entry, Ended):
            said = entry.message
        elif isinstance(entry, str):
            found = read_examined(entry) or found
    if found is None:
        raise ClusterError(
            f"The job {job_id} that looks at the nodes failed: {said}. See its log: thaw logs "
            f"{recipe.name} --job {job_id} --address {address}"
        )
    return found


def line_of(finding: "Finding") -> "Line":
    """Give a finding as one line."""
    from launcher.messages import Line, Tone

    tones: dict[str, Tone] = {"ok": "plain", "warn": "warning", "bad": "bad"}
    parts = [finding.about, finding.said, *([finding.do] if finding.do else [])]
    return Line(finding.level, tuple(parts), tones[finding.level])


def _anything() -> dict[str, object]:
    """Give a recipe for a look at a cluster without one."""
    return {
        "name": f"look-{int(time.time())}",
        "model": {"path": "none"},
        "task": {"kind": "text_classification"},
        "data": {"train": "none"},
    }


COMMANDS = {"doctor": doctor}
