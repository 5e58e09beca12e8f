"""The command `demo`: a real model learns from real rows on a cluster of two nodes.

It goes the way of every run: writes rows and a recipe, starts a cluster, submits, follows. What is
learned stands in a file a demonstration.
"""

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

import click

from launcher.options import open_client

if TYPE_CHECKING:
    from launcher.client import Thaw

NODES = 2
MODULES = {
    "chat": "launcher.chat_demonstration",
    "image": "launcher.image_demonstration",
    "text": "launcher.text_demonstration",
    "translate": "launcher.translation_demonstration",
}
"""Task to the module that demonstrates it."""


class Demonstration(Protocol):
    """What the module of a demonstration has."""

    NAME: str
    """Name of its first run."""
    QUESTION: str
    """What the model learns to answer."""

    def write(self, storage: Path) -> Path:
        """Write rows, recipe and what the model needs below a folder; give the recipe's path."""


@click.command()
@click.option(
    "--task",
    type=click.Choice(sorted(MODULES)),
    default="text",
    show_default=True,
    help="What the model learns from.",
)
@click.option(
    "--folder",
    type=click.Path(path_type=Path),
    default=Path("runs"),
    show_default=True,
    help="Where rows, recipe and runs go.",
)
@click.pass_context
def demo(ctx: click.Context, task: str, folder: Path) -> int:
    """Train a small real model here, in a few minutes.

    With text, all-MiniLM-L6-v2 learns which installed package a docstring is from. Three others
    learn from scratch: with image, a ResNet to read handwritten digits; with translate, a T5 to
    write days in French; with chat, a Llama to say what a function does. Nothing is downloaded.
    """
    from launcher.lifecycle import start
    from launcher.machines import cluster_lines
    from launcher.machines import start as start_cluster
    from launcher.messages import Line
    from launcher.terminal import Terminal

    demonstration, terminal = find_demonstration(task), Terminal()
    recipe = demonstration.write(folder.absolute())
    terminal.lines([Line("demo", (demonstration.QUESTION, f"recipe {recipe}"))])
    local = open_client(ctx)
    cluster = local.cluster() or start_cluster(local, NODES)
    client = open_client(ctx, cluster.address)
    name = free_name(client, str(folder.absolute()), demonstration.NAME)
    code = start(client, terminal, recipe, (f"name={name}",))
    terminal.lines(
        [
            Line("run", (f"{folder.absolute()}/{name}", f"thaw describe {name}")),
            Line("curves", (f"thaw tensorboard {name}",)),
            *cluster_lines(client, cluster),
        ]
    )
    return code


def find_demonstration(task: str) -> Demonstration:
    """Give the module that demonstrates a task."""
    return cast("Demonstration", importlib.import_module(MODULES[task]))


def free_name(client: "Thaw", storage: str, first: str) -> str:
    """Give the first of demo, demo-2, demo-3, ... that no run has, where `first` is demo."""
    number, name = 1, first
    taken = {state.name for state in client.backend.runs.list_runs(storage)}
    while name in taken:
        number += 1
        name = f"{first}-{number}"
    return name


COMMANDS = {"demo": demo}
