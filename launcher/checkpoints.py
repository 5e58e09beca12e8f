"""The command `checkpoints`: look at a run's commits, check them, delete those nobody needs."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from launcher.options import JSON, RUN, STORAGE, open_client

if TYPE_CHECKING:
    from cluster.commits import CommitFacts

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
    from launcher.messages import Line
    from launcher.terminal import Terminal

    client = open_client(ctx, storage=storage)
    found = client.backend.commits.find_damage(client.where.storage_of(run), run)
    terminal = Terminal(as_json=output == "json")
    good = next((name for name in reversed(found) if not found[name]), None)
    if terminal.as_json:
        terminal.json({"run": run, "problems": found, "used": good})
    problems = [problem for name in found for problem in found[name]]
    if problems:
        instead = (
            f"A resume goes on from {good}"
            if good is not None
            else "None can be loaded: start a new run"
        )
        raise CheckpointError("\n".join([*problems, instead]))
    if not terminal.as_json:
        what = f"{len(found)} commits" if len(found) != 1 else "1 commit"
        terminal.lines([Line("whole", (what, "every byte is as it was written"), "good")])


@checkpoints.command()
@RUN
@KEEP_LAST
@KEEP_BEST
@click.option("--yes", is_flag=True, help="Do not ask.")
@STORAGE
@JSON
@click.pass_context
def gc(
    ctx: click.Context,
    run: str,
    keep_last: int | None,
    keep_best: int | None,
    yes: bool,
    storage: str | None,
    output: str,
) -> None:
    """Show which commits nobody needs, ask, and delete them.

    The newest commit that is whole and the best one always stay; of a run that is on, the newest
    two.
    """
    from launcher.amounts import plural, size
    from launcher.messages import Line
    from launcher.terminal import Terminal

    client = open_client(ctx, storage=storage)
    place = client.where.storage_of(run)
    facts = client.backend.commits.choose_surplus(place, run, keep_last, keep_best)
    terminal = Terminal(as_json=output == "json")
    if not terminal.as_json and facts:
        terminal.table(HEADER, commit_rows(facts, time.time()), drop=DROP)
    freed = size(sum(each.num_bytes for each in facts))
    what = f"{plural(len(facts), 'commit')}, {freed}"
    deletes = bool(facts) and (yes or (not terminal.as_json and _agreed(what)))
    if deletes:
        client.backend.commits.delete_commits(place, run, [each.name for each in facts])
    if terminal.as_json:
        shown = [each.model_dump(mode="json") for each in facts]
        terminal.json({"run": run, "commits": shown, "deleted": deletes})
    elif not facts:
        terminal.say(Line("commits", (f"{run} keeps all it has",)))
    else:
        terminal.say(Line("deleted" if deletes else "kept", (what,)))


def commit_rows(facts: "Sequence[CommitFacts]", now: float) -> list[list[str]]:
    """Give a row for each commit."""
    from launcher.amounts import duration, size

    rows = []
    for each in facts:
        marks = {"newest": each.newest, "best": each.best, "damaged": not each.whole}
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


def _agreed(what: str) -> bool:
    return click.confirm(f"Delete {what}?", err=True)


COMMANDS = {"checkpoints": checkpoints}
