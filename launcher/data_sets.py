"""The command `data`: look at a prepared set, write its report, check that it is whole."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from launcher.options import JSON, STORAGE, open_client

if TYPE_CHECKING:
    from cluster.data_sets import SetFacts, SplitFacts
    from launcher.messages import Line

PLACE = click.argument("place", metavar="DIR")
SHOWN_LABELS = 20
SHOWN_CHARACTERS = 100


@click.group()
def data() -> None:
    """Look at prepared data: DIR is a prepared folder, a run, or a storage that holds one set."""


@data.command()
@PLACE
@click.option("--rows", default=3, show_default=True, type=click.IntRange(0, 1000))
@STORAGE
@JSON
@click.pass_context
def inspect(ctx: click.Context, place: str, rows: int, storage: str | None, output: str) -> None:
    """Show splits, labels, what was dropped, and some rows of a prepared set."""
    from launcher.terminal import Terminal

    client = open_client(ctx, storage=storage)
    terminal = Terminal(as_json=output == "json")
    facts = client.backend.data_sets.inspect_set(client.find_set(place), rows)
    if terminal.as_json:
        terminal.json(facts.model_dump(mode="json"))
        return
    terminal.lines(set_lines(facts))
    terminal.table(*split_table(facts))
    if facts.splits["train"].labels:
        terminal.table(*label_table(facts))
    for name, split in facts.splits.items():
        if split.samples:
            terminal.table(*sample_table(name, split))


@data.command()
@PLACE
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="Else ./.")
@click.option("--overwrite", is_flag=True, help="Replace FILE where it is there.")
@click.option("--open", "opened", is_flag=True, help="Show it in the browser.")
@STORAGE
@click.pass_context
def report(
    ctx: click.Context,
    place: str,
    output: Path | None,
    overwrite: bool,
    opened: bool,
    storage: str | None,
) -> None:
    """Write the report of a prepared set as one HTML page.

    Without -o it is called report-<fingerprint>.html and lies in this folder.
    """
    from cluster.outputs import write_file
    from launcher.messages import Line
    from launcher.terminal import Terminal

    client = open_client(ctx, storage=storage)
    found = client.find_set(place)
    page = client.backend.data_sets.report_page(found)
    path = output or Path(f"report-{found.rstrip('/').rpartition('/')[2][:8]}.html")
    write_file(path, page, overwrite=overwrite)
    Terminal().lines([Line("report", (str(path),))])
    if opened:
        click.launch(str(path))


@data.command()
@PLACE
@click.option(
    "--deep/--quick",
    default=None,
    help="Whether every byte is read, not names, sizes and counts alone. [default: of local sets]",
)
@STORAGE
@JSON
@click.pass_context
def validate(
    ctx: click.Context, place: str, deep: bool | None, storage: str | None, output: str
) -> None:
    """Check that a prepared set is whole: hashes, row ids, and that no input is in two splits.

    With --quick, and of a set on an object store without --deep, names, sizes and counts alone.
    """
    from configs.errors import DataError
    from launcher.messages import Line
    from launcher.terminal import Terminal

    client = open_client(ctx, storage=storage)
    terminal = Terminal(as_json=output == "json")
    found = client.find_set(place)
    deep = "://" not in found if deep is None else deep
    problems = client.backend.data_sets.find_problems(found, deep)
    if terminal.as_json:
        terminal.json({"path": found, "deep": deep, "problems": problems})
    if problems:
        raise DataError("\n".join(problems))
    if not terminal.as_json:
        what = "every byte is as it was prepared" if deep else "names, sizes and counts agree"
        deeper = () if deep else ("--deep reads every byte",)
        terminal.lines([Line("whole", (found, what, *deeper), "good")])


def set_lines(facts: "SetFacts") -> "list[Line]":
    """Say where a set is, and what became of the rows."""
    from launcher.amounts import plural
    from launcher.messages import Line

    counts = {"duplicates": facts.duplicates, **facts.dropped}
    dropped = [f"{count:,} {reason}" for reason, count in counts.items() if count]
    changed = [f"{count:,} {what}" for what, count in facts.changed.items()]
    shared = [f"{count:,} {what}" for what, count in facts.contamination.items()]
    lines = [
        Line("set", (facts.path, facts.task, _row_size(facts))),
        Line("rows in", (f"{facts.rows_in:,}",)),
    ]
    lines += [Line("dropped", tuple(dropped))] if dropped else []
    lines += [Line("changed", tuple(changed))] if changed else []
    lines += [Line("conflicts", (plural(facts.conflicts, "row"),))] if facts.conflicts else []
    lines += [Line("shared", tuple(shared), "warning")] if shared else []
    return [*lines, *(Line("note", (note,)) for note in facts.notes)]


def _row_size(facts: "SetFacts") -> str:
    from launcher.amounts import plural

    if facts.images is None:
        return f"at most {plural(facts.max_length, 'token')}"
    return f"images of {facts.images.width} x {facts.images.height} pixels (median)"


def split_table(facts: "SetFacts") -> tuple[tuple[str, ...], list[list[str]]]:
    """Give a row for each split: with its lengths in tokens, or the pixels that images are fed."""
    from launcher.amounts import size

    rows = [
        [
            name,
            f"{split.rows:,}",
            f"{split.num_shards:,}",
            size(split.num_bytes),
            *_lengths(facts, split),
        ]
        for name, split in facts.splits.items()
    ]
    lengths = ("MEAN TOKENS", "LONGEST") if facts.images is None else ("FED AS",)
    return ("SPLIT", "ROWS", "SHARDS", "SIZE", *lengths), rows


def _lengths(facts: "SetFacts", split: "SplitFacts") -> tuple[str, ...]:
    if facts.images is None:
        return f"{split.mean_length:.1f}", f"{split.longest:,}"
    return (f"{facts.images.fed_width} x {facts.images.fed_height} pixels",)


def label_table(facts: "SetFacts") -> tuple[tuple[str, ...], list[list[str]]]:
    """Give the labels with the most training rows, and their rows in each split."""
    train = facts.splits["train"].labels
    names = sorted(train, key=lambda name: -train[name])
    rows = [
        [name, *(f"{split.labels[name]:,}" for split in facts.splits.values())]
        for name in names[:SHOWN_LABELS]
    ]
    if len(names) > SHOWN_LABELS:
        rows.append([f"and {len(names) - SHOWN_LABELS:,} more", *[""] * len(facts.splits)])
    return ("LABEL", *(name.upper() for name in facts.splits)), rows


def sample_table(name: str, split: "SplitFacts") -> tuple[tuple[str, ...], list[list[str]]]:
    """Give some rows of a split, with their labels where they have any."""
    from configs.outside_text import shortened

    with_labels = any(label for _, label in split.samples)
    head = (name.upper(), "LABEL") if with_labels else (name.upper(),)
    rows = [[shortened(text, SHOWN_CHARACTERS), label] for text, label in split.samples]
    return head, [row[: len(head)] for row in rows]


COMMANDS = {"data": data}
