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
    return show_job(client, Terminal(as_json=output == "json"), submitted, detach=detach)


@click.command()
@RUN
@click.argument("source", metavar="INPUT")
@click.option("-o", "--output", required=True, metavar="OUTPUT", help="File to write.")
@DETACH
@ADDRESS
@STORAGE
@click.pass_context
def predict(
    ctx: click.Context,
    run: str,
    source: str,
    output: str,
    detach: bool,
    address: str | None,
    storage: str | None,
) -> int:
    """Predict every row of a file.

    INPUT is of any format that is trained on: csv, tsv, json, json lines, parquet or Arrow.
    """
    from launcher.lifecycle import show_job
    from launcher.terminal import Terminal

    client = open_client(ctx, address, storage)
    return show_job(client, Terminal(), client.predict(run, source, output), detach=detach)


@click.command()
@RUN
@click.argument("folder", metavar="DIR")
@DETACH
@ADDRESS
@STORAGE
@JSON
@click.pass_context
def export(
    ctx: click.Context,
    run: str,
    folder: str,
    detach: bool,
    address: str | None,
    storage: str | None,
    output: str,
) -> int:
    """Write a run's best weights as a Hugging Face folder.

    The folder is loaded again and must give the same outputs.
    """
    from launcher.lifecycle import show_job
    from launcher.terminal import Terminal

    client = open_client(ctx, address, storage)
    submitted = client.export(run, folder)
    return show_job(client, Terminal(as_json=output == "json"), submitted, detach=detach)


COMMANDS = {"evaluate": evaluate, "predict": predict, "export": export}
