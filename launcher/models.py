"""Commands that use a run's weights: evaluate, predict, export."""

import click

from launcher.options import ADDRESS, DETACH, JSON, RUN, STORAGE, open_client


@click.command()
@RUN
@click.option("--data", metavar="FILE", help="Labelled rows to evaluate on, not the test split.")
@DETACH
@ADDRESS
@STORAGE
@JSON
@click.pass_context
def evaluate(
    ctx: click.Context,
    run: str,
    data: str | None,
    detach: bool,
    address: str | None,
    storage: str | None,
    output: str,
) -> int:
    """Evaluate a run's best weights, every row once."""
    from launcher.lifecycle import show_job
    from launcher.terminal import Terminal

    client = open_client(ctx, address, storage)
    submitted = client.evaluate(run, data)
    return show_job(
        client, Terminal(as_json=output == "json"), submitted, detach=detach, take_back=True
    )


@click.command()
@RUN
@click.argument("source", metavar="INPUT")
@click.option("-o", "--output", required=True, metavar="OUTPUT", help="File to write.")
@click.option("--overwrite", is_flag=True, help="Replace OUTPUT where it is there.")
@click.option(
    "--bad",
    type=click.Choice(["fail", "skip"]),
    default="fail",
    show_default=True,
    help="A row that cannot be predicted: name all such and end, or write it with an error.",
)
@click.option(
    "--format",
    "kind",
    type=click.Choice(["csv", "tsv", "json", "jsonl", "parquet", "arrow"]),
    help="Format of an INPUT whose name does not tell it.",
)
@DETACH
@ADDRESS
@STORAGE
@click.pass_context
def predict(
    ctx: click.Context,
    run: str,
    source: str,
    output: str,
    overwrite: bool,
    bad: str,
    kind: str | None,
    detach: bool,
    address: str | None,
    storage: str | None,
) -> int:
    """Predict every row of a file.

    With the run's export; one that has none yet is asked by its best commit, else its newest.

    INPUT is of any format that is trained on: csv, tsv, json, json lines, parquet or Arrow. OUTPUT
    ends in .csv, .tsv, .jsonl or .parquet; it has all columns of the input beside those that are
    predicted.
    """
    from launcher.lifecycle import show_job
    from launcher.terminal import Terminal

    client = open_client(ctx, address, storage)
    submitted = client.predict(
        run, source, output, overwrite=overwrite, skips_bad=bad == "skip", kind=kind
    )
    return show_job(client, Terminal(), submitted, detach=detach, take_back=True)


@click.command()
@RUN
@click.argument("folder", metavar="DIR")
@click.option("--overwrite", is_flag=True, help="Replace the files of an export that is there.")
@DETACH
@ADDRESS
@STORAGE
@JSON
@click.pass_context
def export(
    ctx: click.Context,
    run: str,
    folder: str,
    overwrite: bool,
    detach: bool,
    address: str | None,
    storage: str | None,
    output: str,
) -> int:
    """Write a run's best weights as a Hugging Face folder.

    The folder is loaded again and must give the same outputs; the export that a run has already is
    copied. DIR is new or empty, or with --overwrite holds an export: a person's files stay.
    """
    from launcher.lifecycle import show_job
    from launcher.messages import Line
    from launcher.terminal import Terminal
    from launcher.whereabouts import absolute

    client = open_client(ctx, address, storage)
    terminal = Terminal(as_json=output == "json")
    done = client.export(run, folder, overwrite=overwrite)
    if not isinstance(done, int):
        return show_job(client, terminal, done, detach=detach, take_back=True)
    place = absolute(folder)
    if terminal.as_json:
        terminal.json({"run": run, "path": place, "step": done, "copied": True})
    else:
        said = (f"copied to {place}", f"step {done:,}", "every file as the run wrote it")
        terminal.lines([Line("export", said, "good")])
    return 0


COMMANDS = {"evaluate": evaluate, "predict": predict, "export": export}
