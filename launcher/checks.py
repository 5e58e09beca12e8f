"""Look at what a recipe needs before it is submitted: its files, its name; its cluster if asked."""

import glob
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from configs.errors import DataError, RecipeError
from configs.source_sections import source_entries
from launcher.amounts import plural, size
from launcher.messages import Line

if TYPE_CHECKING:
    from configs.schema import Recipe
    from launcher.client import Thaw

SHOWN_LEFT_OUT = 4


def check_recipe(client: "Thaw", recipe: "Recipe") -> list[Line]:
    """Say what is there and what is missing; raises RecipeError, DataError or LockedError.

    No cluster is called: a recipe may name one that its reader does not know.
    """
    from cluster.first_look import look_at, missing_model
    from cluster.image_look import image_note

    lines = [files_line(recipe)]
    if problem := missing_model(recipe):
        raise RecipeError(problem)
    lines += [Line("data", (note,), "warning") for note in look_at(recipe)]
    note = image_note(recipe)
    lines += [Line("note", (note,))] if note is not None else []
    lines += code_lines(recipe)
    client.refuse_taken_name(recipe)
    lines.append(Line("storage", (f"{recipe.storage}/{recipe.name}", "the name is free")))
    return lines


def check_cluster(client: "Thaw", recipe: "Recipe") -> Line:
    """Say what the cluster of a recipe can carry; raises ClusterError where it cannot, or is none.

    Asks the cluster over the network, with the token if there is one.
    """
    from cluster.preflight import check_fits, num_placeable

    address = client.where.address_of(recipe)
    nodes = client.backend.inventory.list_nodes_at(address)
    check_fits(recipe.cluster, nodes)
    jobs = client.backend.jobs.list_jobs(address)
    running = sum(job.state in ("pending", "running") for job in jobs)
    workers = min(recipe.cluster.most_workers, num_placeable(recipe.cluster, nodes))
    free = client.backend.inventory.list_free_at(address)
    now = min(workers, num_placeable(recipe.cluster, free))
    placed = f"{plural(workers, 'worker')} can be placed"
    if now < workers:
        placed = f"{now} of {placed} now, others hold the rest"
    cpus = sum(node.resources.get("CPU", 0) for node in nodes)
    facts = (
        f"{plural(len(nodes), 'node')}, {plural(int(cpus), 'CPU')}",
        placed,
        f"{plural(running, 'job')} on it now",
    )
    return Line("cluster", (address, *facts))


def code_lines(recipe: "Recipe") -> list[Line]:
    """Say what is there of a person's own code; raises RecipeError for what lacks in its folder."""
    from cluster.working_dir import check_working_dir
    from configs.import_paths import split_import_path

    elsewhere = check_working_dir(recipe)
    named = [path for paths in recipe.own_code.values() for path in paths]
    found = [path for path in named if split_import_path(path)[0] not in elsewhere]
    lines = []
    if found:
        lines.append(Line("code", (", ".join(found), f"from {recipe.cluster.working_dir}")))
    lines += shipped_lines(recipe)
    if elsewhere:
        ways = "is not in cluster.working_dir and must be installed on every node"
        lines.append(Line("code", (f"{', '.join(elsewhere)} {ways}",), "warning"))
    return lines


def shipped_lines(recipe: "Recipe") -> list[Line]:
    """Say what of cluster.working_dir goes to the cluster; raises RecipeError as the submission."""
    from cluster.shipping import survey

    if recipe.cluster.working_dir is None:
        return []
    shipment = survey(Path(recipe.cluster.working_dir))
    facts = [f"{plural(len(shipment.files), 'file')} of {shipment.folder}"]
    facts += [size(shipment.num_bytes)]
    if left := shipment.left_out:
        first = ", ".join(f"{name} ({why})" for name, why in [*left.items()][:SHOWN_LEFT_OUT])
        more = f" and {len(left) - SHOWN_LEFT_OUT} more" if len(left) > SHOWN_LEFT_OUT else ""
        facts.append(f"{len(left)} left out: {first}{more}")
    return [Line("shipped", tuple(facts))]


def files_line(recipe: "Recipe") -> Line:
    """Say how many files each split has; raises DataError naming all absent ones."""
    parts, missing = [], []
    data = recipe.data
    splits = {"train": data.train, "validation": data.validation, "test": data.test}
    for name, given in splits.items():
        if isinstance(given, float):
            parts.append(f"{name}: {100 * given:g} % of the training rows")
            continue
        entries = source_entries(given)
        paths = [path for entry in entries for path in (*entry.paths, entry.pair)]
        addresses = [path for path in paths if path is not None]
        local = [address for address in addresses if "://" not in address]
        there = {address: sorted(glob.glob(address, recursive=True)) for address in local}
        there |= {address: [address] for address in local if os.path.lexists(address)}
        found = [Path(path) for paths in there.values() for path in paths]
        missing += [f"data.{name} ({address})" for address in local if not there[address]]
        remote = len(addresses) - len(local)
        sizes = [num_bytes for path in found for num_bytes in sizes_in(path)]
        facts = [f"{plural(len(sizes), 'file')}, {size(sum(sizes))}"]
        facts = facts if found else []
        facts += [plural(remote, "remote address")] if remote else []
        parts += [f"{name}: {' and '.join(facts)}"] if facts else []
    if missing:
        raise DataError(
            f"{', '.join(missing)} is not on this machine. Correct the path; relative paths start "
            "at the recipe's folder."
        )
    return Line("files", tuple(parts))


def sizes_in(path: Path) -> Iterator[int]:
    """Yield the sizes of a file, or of all files in a folder but hidden ones."""
    if not path.is_dir():
        yield path.stat().st_size
    for folder, _, names in os.walk(path):
        yield from (Path(folder, name).stat().st_size for name in names if name[:1] != ".")
