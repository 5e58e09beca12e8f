"""Commands that look at runs: list, status, describe, logs, metrics; they change nothing."""

import time

import click

from configs.errors import StorageError
from launcher.options import ADDRESS, JSON, RUN, STORAGE, open_client


@click.command("list")
@click.option("--mine", is_flag=True, help="Only those that you submitted.")
@STORAGE
@JSON
@click.pass_context
def list_(ctx: click.Context, mine: bool, storage: str | None, output: str) -> None:
    """List runs, oldest first.

    With -o json one object a line.
    """
    from cluster.owners import own_name
    from launcher.messages import Line
    from launcher.overview import LIST_DROP, LIST_HEADER, list_row, with_owners
    from launcher.terminal import Terminal

    client = open_client(ctx, storage=storage)
    listed = client.look_at_places()
    states = [one for one in listed.states if not mine or one.owner == own_name()]
    terminal = Terminal(as_json=output == "json")
    if terminal.as_json:
        for state in states:
            terminal.json(client.standing(state))
    elif states:
        now = time.time()
        rows = [list_row(state, client.step_of(state), now) for state in states]
        table = with_owners(LIST_HEADER, rows, [state.owner for state in states])
        terminal.table(*table, drop=LIST_DROP)
    else:
        terminal.say(Line("runs", ("none yet", "start one with thaw submit or thaw demo")))
    told = [*listed.silent, *(state.rebuilt for state in states if state.rebuilt)]
    terminal.say(*(Line("warning", (sentence,), "warning") for sentence in told))


@click.command()
@RUN
@STORAGE
@JSON
@click.pass_context
def status(ctx: click.Context, run: str, storage: str | None, output: str) -> None:
    """Show how a run stands, in a few lines."""
    from launcher.overview import damage_lines, status_lines
    from launcher.progress import progress_of
    from launcher.terminal import Terminal

    client = open_client(ctx, storage=storage)
    terminal = Terminal(as_json=output == "json")
    state = client.status(run)
    records = client.metrics(run)
    silent_s = client.silent_s(state)
    if terminal.as_json:
        terminal.json({**client.standing(state), "silent_s": silent_s})
    else:
        progress = progress_of(run, records)
        terminal.lines(status_lines(state, progress, now=time.time(), silent_s=silent_s))
    terminal.say(*damage_lines(client.damage(run), records))


@click.command()
@RUN
@STORAGE
@JSON
@click.pass_context
def describe(ctx: click.Context, run: str, storage: str | None, output: str) -> None:
    """Show recipe, data, attempts, evaluations and files of a run."""
    from launcher.overview import damage_lines, describe_lines
    from launcher.terminal import Terminal

    client = open_client(ctx, storage=storage)
    terminal = Terminal(as_json=output == "json")
    state, records, damage = client.status(run), client.metrics(run), list(client.damage(run))
    recipe = None
    try:
        recipe = client.recipe(run) if state.has_begun else None
    except StorageError as error:
        damage.append(str(error))
    if terminal.as_json:
        shown = [record.model_dump(mode="json") for record in records if record.kind != "step"]
        terminal.json(
            {
                "state": {
                    **state.model_dump(mode="json"),
                    "worked_s": state.total_s(time.time()),
                },
                "recipe": recipe.model_dump(mode="json") if recipe is not None else None,
                "records": shown,
            }
        )
    else:
        goes_on = client.backend.commits.goes_on(state.storage, run)
        terminal.lines(describe_lines(state, recipe, records, goes_on=goes_on))
    terminal.say(*damage_lines(damage))


@click.command()
@RUN
@click.option("-f", "--follow", is_flag=True, help="Go on until the run has ended.")
@click.option("--rank", type=click.IntRange(min=0), help="The log of one worker.")
@click.option("--attempt", type=click.IntRange(min=1), help="Else the last attempt.")
@click.option("--job", metavar="ID", help="The log of a job that evaluates, predicts or exports.")
@ADDRESS
@STORAGE
@click.pass_context
def logs(
    ctx: click.Context,
    run: str,
    follow: bool,
    rank: int | None,
    attempt: int | None,
    job: str | None,
    address: str | None,
    storage: str | None,
) -> None:
    """Print the log of a run's job, or of one of its workers."""
    from launcher.messages import Story
    from launcher.terminal import Terminal

    if job is not None and (rank is not None or attempt is not None):
        raise click.UsageError("--job names a log of its own: leave --rank and --attempt out.")
    client = open_client(ctx, address, storage)
    terminal = Terminal()
    if rank is None and attempt is None:
        story = Story(run)
        for entry in client.job_log(run, job, follow=follow):
            if isinstance(entry, str):
                terminal.text(entry)
            else:
                terminal.lines(story.tell(entry))
        return
    for text in client.worker_log(run, rank or 0, attempt, follow=follow):
        terminal.text(text)


@click.command()
@RUN
@click.option("--steps", is_flag=True, help="Step records instead of evaluations.")
@click.option("--all", "everything", is_flag=True, help="Every metric, one a line.")
@STORAGE
@JSON
@click.pass_context
def metrics(
    ctx: click.Context,
    run: str,
    steps: bool,
    everything: bool,
    storage: str | None,
    output: str,
) -> None:
    """Print a run's evaluations, or its steps, as a table.

    The metrics that a person looks at first are shown, with --all every one. With -o json every
    record is printed, one a line.
    """
    from launcher.messages import Line
    from launcher.overview import damage_lines, metrics_table
    from launcher.terminal import Terminal

    terminal = Terminal(as_json=output == "json")
    client = open_client(ctx, storage=storage)
    records = client.metrics(run)
    terminal.say(*damage_lines(client.damage(run), records))
    if terminal.as_json:
        wanted = (record for record in records if not steps or record.kind == "step")
        for record in wanted:
            terminal.json(record.model_dump(mode="json"))
        return
    header, rows, drop = metrics_table(records, steps=steps, everything=everything)
    if rows:
        terminal.table(header, rows, drop=drop)
    else:
        other = () if steps else (f"its steps: thaw metrics {run} --steps",)
        none = f"{run} has no {'steps' if steps else 'evaluations'} yet"
        terminal.say(Line("metrics", (none, *other, f"thaw status {run}")))


COMMANDS = {
    "list": list_,
    "status": status,
    "describe": describe,
    "logs": logs,
    "metrics": metrics,
}
