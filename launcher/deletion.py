"""The command `delete`: show what a run holds, ask, and delete it."""

from typing import TYPE_CHECKING

import click

from launcher.options import FORCE, JSON, RUN, STORAGE, agreed, open_client

if TYPE_CHECKING:
    from cluster.deletion import Belongings
    from launcher.messages import Line

SHOWN = 5
NAMES = {
    "checkpoints": "commits",
    "export": "export",
    "logs": "logs",
    "tensorboard": "curves",
    "metrics.jsonl": "records",
}
"""What the parts of a run's folder are called that are told one by one."""


@click.command()
@RUN
@click.option("--yes", is_flag=True, help="Do not ask.")
@FORCE
@STORAGE
@JSON
@click.pass_context
def delete(
    ctx: click.Context, run: str, yes: bool, force: bool, storage: str | None, output: str
) -> int:
    """Show what a run holds, ask, and delete it.

    Prepared data, which other runs may use, and files that are not ours stay. A run that is on is
    refused: stop it first.
    """
    from launcher.messages import Line
    from launcher.terminal import Terminal

    client = open_client(ctx, storage=storage)
    terminal = Terminal(as_json=output == "json")
    found = client.belongings(run, force=force)
    if not terminal.as_json:
        terminal.lines(belongings_lines(found))
    deletes = yes or (not terminal.as_json and agreed(f"Delete run {run}?"))
    kept = client.delete(run, force=force) if deletes else ()
    if terminal.as_json:
        terminal.json({**found.model_dump(mode="json"), "run": run, "deleted": deletes})
    elif not deletes:
        terminal.say(Line("kept", (run,)))
    else:
        rest = (f"{found.folder} stays, with what is not ours",) if kept else ()
        terminal.say(Line("deleted", (run, *rest)))
    return 0


def belongings_lines(found: "Belongings") -> "list[Line]":
    """Say what would go and what would stay."""
    from launcher.amounts import plural, size
    from launcher.messages import Line

    parts = found.num_bytes
    sizes = [f"{said} {size(parts[name])}" for name, said in NAMES.items() if name in parts]
    total = size(sum(found.num_bytes.values()))
    lines = [Line("delete", (found.folder, total, *sizes))]
    if found.strangers:
        more = len(found.strangers) - SHOWN
        names = (*found.strangers[:SHOWN], *([f"{more:,} more"] if more > 0 else []))
        lines.append(Line("stays", (f"not ours: {', '.join(names)}",), "warning"))
    if found.prepared is not None:
        users = found.prepared_for
        used = f"{plural(len(users), 'other run')} here used it" if users else "no other run here"
        lines.append(Line("stays", (f"prepared data {found.prepared}", used)))
    return lines


COMMANDS = {"delete": delete}
