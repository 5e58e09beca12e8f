"""The command `tensorboard`: runs side by side in TensorBoard."""

import subprocess
import sys
import tempfile
from pathlib import Path

import click

from configs.errors import NotFoundError
from launcher.options import STORAGE, checked_run, complete_run, open_client


@click.command()
@click.argument(
    "runs", nargs=-1, metavar="[RUN]...", shell_complete=complete_run, callback=checked_run
)
@click.option("--port", default=6006, show_default=True, type=click.IntRange(1, 65_535))
@click.option("--host", default="127.0.0.1", show_default=True)
@STORAGE
@click.pass_context
def tensorboard(
    ctx: click.Context, runs: tuple[str, ...], port: int, host: str, storage: str | None
) -> int:
    """Open runs in TensorBoard, all when none is named.

    Ctrl-C ends it.
    """
    from launcher.messages import Line
    from launcher.terminal import Terminal

    client = open_client(ctx, storage=storage)
    states = [client.status(run) for run in runs] if runs else client.list()
    if not states:
        raise NotFoundError("There is no run to show. Start one with `thaw submit`.")
    boards = {state.name: f"{state.storage}/{state.name}/tensorboard" for state in states}
    Terminal().say(Line("runs", tuple(boards)), Line("open", (f"http://{host}:{port}",)))
    with tempfile.TemporaryDirectory(prefix="thaw-boards-") as folder:
        logs = board_folder(Path(folder), boards)
        command = [sys.executable, "-m", "tensorboard.main", *logs]
        with subprocess.Popen([*command, "--port", str(port), "--host", host]) as process:
            try:
                return process.wait()
            except KeyboardInterrupt:
                process.wait(timeout=10)
                return 0


def board_folder(folder: Path, boards: dict[str, str]) -> list[str]:
    """Lay several run's event files side by side under their names; give TensorBoard's options."""
    remote = {name: board for name, board in boards.items() if "://" in board}
    if remote:
        pairs = ",".join(f"{name}:{board}" for name, board in boards.items())
        return ["--logdir_spec", pairs]
    for name, board in boards.items():
        (folder / name).symlink_to(board)
    return ["--logdir", str(folder)]


COMMANDS = {"tensorboard": tensorboard}
