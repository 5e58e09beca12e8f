"""The command `tensorboard`: runs side by side in TensorBoard, those that begin later too."""

import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import click

from configs.errors import (
    ClusterError,
    NotFoundError,
    RecipeError,
    StorageError,
    reason_of,
)
from launcher.options import STORAGE, checked_run, complete_run, open_client

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cluster.runs import RunState

LOOK_EVERY_S = 5.0
END_LIMIT_S = 10.0
TENSORBOARD = (sys.executable, "-m", "tensorboard.main")


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

    Runs that begin later appear by themselves. Ctrl-C ends it.
    """
    from launcher.messages import Line
    from launcher.terminal import Terminal

    client = open_client(ctx, storage=storage)

    def boards() -> dict[str, str]:
        return boards_of([client.status(run) for run in runs] if runs else client.list())

    found = boards()
    if not found:
        raise NotFoundError("There is no run to show. Start one with `thaw submit`.")
    refuse_taken_port(host, port)
    Terminal().say(Line("runs", tuple(found)), Line("open", (f"http://{host}:{port}",)))
    with tempfile.TemporaryDirectory(prefix="thaw-boards-") as folder, ended_by_signals():
        return serve(
            Path(folder), found, boards, [*TENSORBOARD, "--port", str(port), "--host", host]
        )


def serve(
    folder: Path,
    boards: Mapping[str, str],
    look: Callable[[], dict[str, str]],
    command: list[str],
) -> int:
    """Run TensorBoard over runs until it ends, and show it those that `look` finds meanwhile.

    Local runs are linked into a folder that TensorBoard reads again and again. It takes addresses
    of object stores as an option alone, so it is started anew when a run begins there.
    """
    while True:
        shown = dict(boards)
        process = subprocess.Popen([*command, *board_options(folder, shown)])
        try:
            while process.poll() is None:
                with suppress(subprocess.TimeoutExpired):
                    return process.wait(LOOK_EVERY_S)
                with suppress(StorageError, ClusterError, NotFoundError):  # asked again soon
                    boards = look()
                if boards != shown:
                    if is_remote(boards) or is_remote(shown):
                        break
                    shown = dict(boards)
                    board_options(folder, shown)
        except KeyboardInterrupt:
            return 0
        finally:
            end(process)


def end(process: "subprocess.Popen[bytes]") -> None:
    """End a process that was started here, politely first."""
    process.terminate()
    try:
        process.wait(END_LIMIT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextmanager
def ended_by_signals() -> "Iterator[None]":
    """Let SIGTERM and SIGHUP end the command as an exit does, so that nothing is left behind."""

    def leave(number: int, frame: FrameType | None) -> None:
        sys.exit(128 + number)

    kept = {number: signal.signal(number, leave) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)


def refuse_taken_port(host: str, port: int) -> None:
    """Raise RecipeError when nothing can listen at a port."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((host, port))
        except OSError as error:
            raise RecipeError(
                f"TensorBoard cannot listen at {host}:{port} ({reason_of(error)}). "
                "Choose another with --port or --host."
            ) from error


def boards_of(states: "Iterable[RunState]") -> dict[str, str]:
    """Return the event folder of each run by its name; a name of two storages has its storage."""
    runs = list(states)
    names = [run.name for run in runs]
    boards = {}
    for run in runs:
        alone = names.count(run.name) == 1
        name = run.name if alone else f"{run.name} in {run.storage.replace('/', '_')}"
        boards[name] = f"{run.storage}/{run.name}/tensorboard"
    return boards


def is_remote(boards: Mapping[str, str]) -> bool:
    """Whether a run lies in an object store."""
    return any("://" in board for board in boards.values())


def board_options(folder: Path, boards: Mapping[str, str]) -> list[str]:
    """Lay several runs' event files side by side under their names; return TensorBoard's options.

    Links of runs that are no longer asked for go.
    """
    if is_remote(boards):
        pairs = ",".join(f"{name}:{board}" for name, board in boards.items())
        return ["--logdir_spec", pairs]
    for link in folder.iterdir():
        if link.name not in boards:
            link.unlink()
    for name, board in boards.items():
        link = folder / name
        if not link.is_symlink():
            link.symlink_to(board)
    return ["--logdir", str(folder)]


COMMANDS = {"tensorboard": tensorboard}
