"""Commands of a run's life: submit, watch, stop, resume; what they print is said in messages.py."""

import re
import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from signal import SIGHUP, SIGTERM
from typing import TYPE_CHECKING

import click

from configs.errors import INTERRUPTED, STOPPED
from launcher.options import (
    ADDRESS,
    DETACH,
    FORCE,
    JSON,
    OVERRIDES,
    RECIPE,
    RUN,
    STORAGE,
    open_client,
)

if TYPE_CHECKING:
    from configs.records import Record
    from launcher.client import Submitted, Thaw
    from launcher.messages import Line, Story
    from launcher.terminal import Terminal


@click.command()
@RECIPE
@OVERRIDES
@DETACH
@ADDRESS
@STORAGE
@JSON
@click.pass_context
def submit(
    ctx: click.Context,
    recipe: Path,
    overrides: tuple[str, ...],
    detach: bool,
    address: str | None,
    storage: str | None,
    output: str,
) -> int:
    """Start a run on the cluster and follow it.

    Ctrl-C leaves it running.
    """
    from launcher.terminal import Terminal

    client = open_client(ctx, address, storage)
    return start(client, Terminal(as_json=output == "json"), recipe, overrides, detach=detach)


def start(
    client: "Thaw",
    terminal: "Terminal",
    path: Path,
    overrides: tuple[str, ...] = (),
    *,
    detach: bool = False,
) -> int:
    """Submit a recipe, say so, and follow the run unless asked not to."""
    from launcher.checks import shipped_lines
    from launcher.messages import Line
    from launcher.plan import recipe_lines

    recipe = client.load(path, overrides)
    shipped = shipped_lines(recipe)
    submitted = client.submit(recipe)
    run = submitted.run
    watch_it = (run, f"watch it: thaw watch {run}", f"thaw tensorboard {run}")
    if not terminal.as_json:
        noted = [Line("note", (note,), "warning") for note in submitted.notes]
        terminal.lines([*recipe_lines(recipe), *shipped, *noted, Line("run", watch_it)])
    return show_job(client, terminal, submitted, detach=detach)


def show_job(
    client: "Thaw",
    terminal: "Terminal",
    submitted: "Submitted",
    *,
    detach: bool = False,
    seen: "Iterable[Record]" = (),
    take_back: bool = False,
) -> int:
    """Follow a job to its end and give its exit code; or name the job and return.

    With `take_back` a job that only waits is ended where this process is interrupted or ended.
    """
    from launcher.messages import Line, Story

    run, job_id = submitted.run, submitted.job_id
    if detach:
        if terminal.as_json:
            terminal.json({"run": run, "job_id": job_id, "storage": submitted.storage})
        else:
            terminal.lines([Line("job", (job_id, submitted.address, "goes on by itself"))])
        return 0
    # What `thaw why` and `thaw logs` tell is of the run, not of a job that only reads it.
    is_own = re.fullmatch(r"\.?[-\d]+", job_id.removeprefix(run)) is not None
    look = () if is_own else (f"thaw logs {run} --job {job_id}",)
    story = Story(run, steps=not terminal.is_live, look=look)
    entries = client.backend.jobs.follow(submitted.address, job_id)
    if take_back:
        return _shown_or_taken_back(client, terminal, submitted, story, entries)
    return shown(terminal, story, entries, seen)


def _shown_or_taken_back(
    client: "Thaw",
    terminal: "Terminal",
    submitted: "Submitted",
    story: "Story",
    entries: "Iterable[Record | str]",
) -> int:
    """Show records to their end; a job that only waits when this process is ended is ended, too."""
    from launcher.live import show
    from launcher.messages import Line

    waits, job_id = _Waits(), submitted.job_id
    with _ended_as_interrupted():
        try:
            ended = show(terminal, story, waits.told(entries))
        except KeyboardInterrupt:
            if waits.still and client.backend.jobs.stop_job(submitted.address, job_id):
                said = (f"{job_id} only waited for room", "nothing waits any more")
                terminal.say(Line("ended", said, "warning"))
            else:
                terminal.say(_detached(submitted.run))
            return INTERRUPTED
    return ended.exit_code if ended is not None else 0


class _Waits:
    """Whether a job has done nothing yet but wait for room."""

    def __init__(self) -> None:
        self.still = True

    def told(self, entries: "Iterable[Record | str]") -> "Iterator[Record | str]":
        """Pass records on and see whether one of them says that the work has begun."""
        from configs.records import Note

        for entry in entries:
            if isinstance(entry, Note):
                self.still = entry.event == "waiting" or (self.still and entry.event != "placed")
            elif not isinstance(entry, str):
                self.still = False
            yield entry
        self.still = False


@contextmanager
def _ended_as_interrupted() -> "Iterator[None]":
    """Let a signal that would end this process interrupt it, so that it can clear up."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (SIGTERM, SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def shown(
    terminal: "Terminal",
    story: "Story",
    entries: "Iterable[Record | str]",
    seen: "Iterable[Record]" = (),
) -> int:
    """Show records to their end; Ctrl-C detaches and says how to come back."""
    from launcher.live import show

    run = story.progress.name
    try:
        ended = show(terminal, story, entries, seen=seen)
    except KeyboardInterrupt:
        terminal.say(_detached(run))
        return INTERRUPTED
    return ended.exit_code if ended is not None else 0


def _detached(run: str) -> "Line":
    from launcher.messages import Line

    ways = (f"come back: thaw watch {run}", f"stop it: thaw stop {run}")
    return Line("detached", (f"{run} goes on", *ways), "warning")


@click.command()
@RUN
@ADDRESS
@STORAGE
@JSON
@click.pass_context
def watch(
    ctx: click.Context, run: str, address: str | None, storage: str | None, output: str
) -> int:
    """Show how a run goes on, from its beginning.

    Ctrl-C leaves it running.
    """
    from launcher.messages import Line, Story
    from launcher.overview import damage_lines
    from launcher.terminal import Terminal

    client = open_client(ctx, address, storage)
    terminal = Terminal(as_json=output == "json")
    terminal.say(*damage_lines(client.damage(run)))
    story = Story(run, steps=not terminal.is_live)
    code = shown(terminal, story, client.watch(run))
    if story.progress.started is None:
        told = (f"{run} has no records", f"thaw status {run}", f"thaw why {run}")
        terminal.say(Line("nothing", told, "warning"))
    return code


@click.command()
@RUN
@click.option("--now", is_flag=True, help="End it within 20 s, saved or not.")
@FORCE
@ADDRESS
@STORAGE
@JSON
@click.pass_context
def stop(
    ctx: click.Context,
    run: str,
    now: bool,
    force: bool,
    address: str | None,
    storage: str | None,
    output: str,
) -> int:
    """Stop a run after it has saved.

    `thaw resume` goes on from there.
    """
    from launcher.messages import Line, Story
    from launcher.terminal import Terminal

    client = open_client(ctx, address, storage)
    terminal = Terminal(as_json=output == "json")
    before = client.stop(run, now=now, force=force)
    if before.state in ("succeeded", "failed", "stopped"):
        terminal.say(Line("run", (f"{run} has {before.state} already",)))
        return 0
    if not before.has_begun:
        terminal.say(Line("stopped", (f"{run} had not begun, its job ends", "nothing is lost")))
        return 0
    if now:
        terminal.say(
            Line(
                "stopped",
                (f"{run} ends within 20 s", "what cannot be saved in time is lost"),
                "warning",
            )
        )
        return 0
    terminal.say(Line("stopping", (f"{run} saves and ends", "with --now it ends within 20 s")))
    story = Story(run, steps=False)
    code = shown(terminal, story, client.watch(run), seen=client.metrics(run))
    return 0 if code == STOPPED else code


@click.command()
@RUN
@OVERRIDES
@click.option(
    "--allow-change",
    is_flag=True,
    help="Go on with another recipe, other data or packages, though the answer will be another.",
)
@FORCE
@DETACH
@ADDRESS
@STORAGE
@JSON
@click.pass_context
def resume(
    ctx: click.Context,
    run: str,
    overrides: tuple[str, ...],
    allow_change: bool,
    force: bool,
    detach: bool,
    address: str | None,
    storage: str | None,
    output: str,
) -> int:
    """Go on with a stopped or failed run from its last commit.

    The number of workers may change, with --set cluster.num_workers=N: the answer does not. With
    --address another cluster goes on, from the storage alone.
    """
    from launcher.messages import Line
    from launcher.overview import damage_lines
    from launcher.terminal import Terminal

    client = open_client(ctx, address, storage)
    terminal = Terminal(as_json=output == "json")
    state = client.status(run)
    if state.state == "succeeded":
        client.changed_recipe(run, overrides, allow_change=allow_change)
        unused = ("nothing was changed",) if overrides else ()
        done = (f"{run} has succeeded already", "there is nothing to go on with", *unused)
        terminal.say(Line("run", done))
        return 0
    before = client.metrics(run)
    terminal.say(*damage_lines(client.damage(run), before))
    submitted = client.resume(run, overrides, allow_change=allow_change, force=force)
    return show_job(client, terminal, submitted, detach=detach, seen=before)


COMMANDS = {"submit": submit, "watch": watch, "stop": stop, "resume": resume}
