"""The command `checkpoints`: look at a run's commits, check them, delete those nobody needs."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from launcher.options import FORCE, JSON, RUN, STORAGE, agreed, open_client

if TYPE_CHECKING:
    from cluster.commits import CommitFacts
    from launcher.backend import Commits
    from launcher.terminal import Terminal

HEADER = ("STEP", "ATTEMPT", "EPOCH", "PHASE", "SIZE", "AGE", "VALUE", "MARKS", "COMMIT")
DROP = ("PHASE", "AGE", "EPOCH", "ATTEMPT")
"""Columns that a narrow terminal does without, the first of them first."""
KEEP_LAST = click.option("--keep-last", type=click.IntRange(min=1), help="Else the recipe's.")
KEEP_BEST = click.option("--keep-best", type=click.IntRange(min=1), help="Else the recipe's.")


@click.group()
def checkpoints() -> None:
    """Look at the commits of a run, check them, delete what nobody needs."""


@checkpoints.command("list")
@RUN
@STORAGE
@JSON
@click.pass_context
def list_(ctx: click.Context, run: str, storage: str | None, output: str) -> None:
    """List the commits of a run, oldest first."""
    from launcher.messages import Line
    from launcher.terminal import Terminal

    client = open_client(ctx, storage=storage)
    facts = client.backend.commits.list_facts(client.where.storage_of(run), run)
    terminal = Terminal(as_json=output == "json")
    if terminal.as_json:
        terminal.json({"commits": [each.model_dump(mode="json") for each in facts]})
    elif facts:
        terminal.table(HEADER, commit_rows(facts, time.time()), drop=DROP)
    else:
        terminal.say(Line("commits", (f"{run} has none yet", f"thaw status {run}")))


@checkpoints.command()
@RUN
@STORAGE
@JSON
@click.pass_context
def verify(ctx: click.Context, run: str, storage: str | None, output: str) -> None:
    """Read every byte of a run's commits and compare it with what was written.

    Exit code 6 when one is damaged; then it says which one a resume would use instead.
    """
    from configs.errors import CheckpointError
    from launcher.messages import DROPPED, Line
    from launcher.terminal import Terminal

    client = open_client(ctx, storage=storage)
    found = client.backend.commits.find_damage(client.where.storage_of(run), run)
    terminal = Terminal(as_json=output == "json")
    good = next((name for name in reversed(found) if not found[name]), None)
    if terminal.as_json:
        terminal.json({"run": run, "problems": found, "used": good})
    problems = [problem for name in found for problem in found[name]]
    goes_on = client.backend.commits.goes_on(client.where.storage_of(run), run)
    if problems:
        instead = "None can be loaded: start a new run"
        if good is not None:
            use = "A resume goes on from" if goes_on else "Its weights are used from"
            instead = f"{use} {good}"
        raise CheckpointError("\n".join([*problems, instead]))
    if not terminal.as_json:
        what = f"{len(found)} commits" if len(found) != 1 else "1 commit"
        dropped = () if goes_on else (DROPPED,)
        terminal.lines([Line("whole", (what, "every byte is as it was written", *dropped), "good")])


@checkpoints.command()
@RUN
@KEEP_LAST
@KEEP_BEST
@click.option(
    "--drop-optimizer",
    is_flag=True,
    help="Of a run that succeeded: keep the weights of its commits and drop the rest.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@FORCE
@STORAGE
@JSON
@click.pass_context
def gc(
    ctx: click.Context,
    run: str,
    keep_last: int | None,
    keep_best: int | None,
    drop_optimizer: bool,
    yes: bool,
    force: bool,
    storage: str | None,
    output: str,
) -> None:
    """Show which commits nobody needs, ask, and delete them.

    The newest commit that is whole and the best one always stay; of a run that is on, the newest
    two. With --drop-optimizer all commits stay, without their optimizer state: they are evaluated,
    exported and predicted with as before, and the run cannot go on.
    """
    from configs.errors import RecipeError
    from launcher.terminal import Terminal

    if drop_optimizer and (keep_last is not None or keep_best is not None):
        raise RecipeError(
            "--drop-optimizer keeps all commits, and --keep-last and --keep-best say which go. "
            "Delete commits first, then drop the optimizer state of the others"
        )
    client = open_client(ctx, storage=storage)
    place = client.storage_to_clear(run, force=force)
    terminal = Terminal(as_json=output == "json")
    if drop_optimizer:
        _drop_optimizer(terminal, client.backend.commits, place, run, yes=yes)
    else:
        facts = client.backend.commits.choose_surplus(place, run, keep_last, keep_best)
        deletes = _deletes(terminal, facts, yes=yes)
        if deletes:
            names = [each.name for each in facts]
            client.backend.commits.delete_commits(place, run, names)
        _say_deleted(terminal, run, facts, deletes=deletes)


def _deletes(terminal: "Terminal", facts: "Sequence[CommitFacts]", *, yes: bool) -> bool:
    """Show commits that may go, and ask whether they shall."""
    if not terminal.as_json and facts:
        terminal.table(HEADER, commit_rows(facts, time.time()), drop=DROP)
    return bool(facts) and (yes or (not terminal.as_json and agreed(f"Delete {_told(facts)}?")))


def _say_deleted(
    terminal: "Terminal", run: str, facts: "Sequence[CommitFacts]", *, deletes: bool
) -> None:
    from launcher.messages import Line

    if terminal.as_json:
        shown = [each.model_dump(mode="json") for each in facts]
        terminal.json({"run": run, "commits": shown, "deleted": deletes})
    elif not facts:
        terminal.say(Line("commits", (f"{run} keeps all it has",)))
    else:
        terminal.say(Line("deleted" if deletes else "kept", (_told(facts),)))


def _told(facts: "Sequence[CommitFacts]") -> str:
    from launcher.amounts import plural, size

    return f"{plural(len(facts), 'commit')}, {size(sum(each.num_bytes for each in facts))}"


def _drop_optimizer(
    terminal: "Terminal", commits: "Commits", place: str, run: str, *, yes: bool
) -> None:
    """Show how much would go, ask, and drop the optimizer state of all commits."""
    from launcher.amounts import plural, size
    from launcher.messages import Line

    sizes = commits.optimizer_bytes(place, run)
    there = {name: num_bytes for name, num_bytes in sizes.items() if num_bytes}
    what = f"optimizer state of {plural(len(there), 'commit')}, {size(sum(there.values()))}"
    drops = bool(there) and (yes or (not terminal.as_json and agreed(f"Drop the {what}?")))
    freed = commits.drop_optimizer(place, run) if drops else 0
    if terminal.as_json:
        terminal.json({"run": run, "bytes": sizes, "dropped": drops, "freed_bytes": freed})
    elif not there:
        terminal.say(Line("commits", (f"{run} has no optimizer state to drop",)))
    elif not drops:
        terminal.say(Line("kept", (what,)))
    else:
        terminal.say(
            Line("dropped", (what, f"{size(freed)} freed", f"{run} cannot go on any more"))
        )


def commit_rows(facts: "Sequence[CommitFacts]", now: float) -> list[list[str]]:
    """Give a row for each commit."""
    from launcher.amounts import duration, size

    rows = []
    for each in facts:
        marks = {
            "newest": each.newest,
            "best": each.best,
            "damaged": not each.whole,
            "weights alone": not each.optimizer,
        }
        rows.append(
            [
                f"{each.step:,}",
                str(each.attempt),
                f"{each.epoch:.2f}",
                str(each.phase or ""),
                size(each.num_bytes),
                duration(now - each.time) if each.time else "",
                f"{each.value:.4f}" if each.value is not None else "",
                ", ".join(name for name, holds in marks.items() if holds),
                each.name,
            ]
        )
    return rows


COMMANDS = {"checkpoints": checkpoints}
