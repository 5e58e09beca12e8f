"""Commands about a recipe before it runs: check, verify, prepare, schema."""

from pathlib import Path

import click

from launcher.options import ADDRESS, JSON, OVERRIDES, RECIPE, STORAGE, open_client


@click.command()
@RECIPE
@OVERRIDES
@ADDRESS
@STORAGE
@JSON
@click.option("--resolved", is_flag=True, help="Print the whole recipe with every default.")
@click.option("--cluster", "ask_cluster", is_flag=True, help="Ask its cluster what fits on it.")
@click.pass_context
def check(
    ctx: click.Context,
    recipe: Path,
    overrides: tuple[str, ...],
    address: str | None,
    storage: str | None,
    output: str,
    resolved: bool,
    ask_cluster: bool,
) -> None:
    """Check a recipe, its files and its name.

    Nothing is started and no cluster is called, unless --cluster asks it what fits on it.
    """
    from configs.load import recipe_to_yaml
    from launcher.checks import check_cluster, check_recipe
    from launcher.plan import recipe_lines
    from launcher.terminal import Terminal

    client = open_client(ctx, address, storage)
    terminal = Terminal(as_json=output == "json")
    loaded = client.load(recipe, overrides)
    if resolved and not terminal.as_json:
        terminal.text(recipe_to_yaml(loaded).rstrip())
        return
    findings = check_recipe(client, loaded)
    if ask_cluster:
        findings = [*findings, check_cluster(client, loaded)]
    if terminal.as_json:
        found: dict[str, list[str]] = {}
        for line in findings:
            found.setdefault(line.label, []).extend(line.parts)
        terminal.json({"recipe": loaded.model_dump(mode="json"), "findings": found})
    else:
        terminal.lines([*recipe_lines(loaded), *findings])


@click.command()
@RECIPE
@OVERRIDES
@ADDRESS
@STORAGE
@JSON
@click.pass_context
def prepare(
    ctx: click.Context,
    recipe: Path,
    overrides: tuple[str, ...],
    address: str | None,
    storage: str | None,
    output: str,
) -> int:
    """Read, clean, split and tokenise the data on the cluster.

    A second time finds it done.
    """
    from launcher.lifecycle import shown
    from launcher.messages import Line, Story, data_table
    from launcher.terminal import Terminal

    client = open_client(ctx, address, storage)
    terminal = Terminal(as_json=output == "json")
    submitted = client.prepare(client.load(recipe, overrides))
    if not terminal.as_json:
        terminal.lines(Line("note", (note,), "warning") for note in submitted.notes)
    story = Story(submitted.run)
    entries = client.backend.jobs.follow(submitted.address, submitted.job_id)
    code = shown(terminal, story, entries)
    if story.progress.data is not None and not terminal.as_json:
        terminal.table(*data_table(story.progress.data))
    return code


@click.command()
@click.argument("key", required=False)
def schema(key: str | None) -> None:
    """Print the JSON Schema of a recipe, for editors; with KEY, what one key means.

    KEY is dotted, such as batch.lanes, or a section.
    """
    import json

    from configs.explanation import explain
    from configs.load import recipe_schema
    from launcher.messages import explanation_lines
    from launcher.terminal import Terminal

    if key is None:
        Terminal().text(json.dumps(recipe_schema(), indent=2))
        return
    for found in explain(key):
        Terminal().lines(explanation_lines(found))


@click.command()
@RECIPE
@OVERRIDES
@click.option(
    "--rows",
    default=256,
    show_default=True,
    type=click.IntRange(1),
    help="Training rows to take, at most.",
)
@click.option(
    "--alone",
    default=1,
    show_default=True,
    type=click.IntRange(1),
    help="Workers of the smaller run.",
)
@click.option("--keep", is_flag=True, help="Keep the three runs.")
@ADDRESS
@STORAGE
@click.pass_context
def verify(
    ctx: click.Context,
    recipe: Path,
    overrides: tuple[str, ...],
    rows: int,
    alone: int,
    keep: bool,
    address: str | None,
    storage: str | None,
) -> None:
    """Prove on your own recipe that machines and faults change nothing.

    A few rows, three runs: on all workers, on one, and with a worker that is killed. They are
    deleted when all agree.
    """
    from launcher.terminal import Terminal
    from launcher.verification import prove

    client = open_client(ctx, address, storage)
    prove(client, Terminal(), client.load(recipe, overrides), (rows, alone), keep=keep)


COMMANDS = {"check": check, "verify": verify, "prepare": prepare, "schema": schema}
