"""Preparing rows of every kind: the same shards from every format, classes only where there are."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cluster.data_sets import inspect_set
from configs.errors import DataError
from configs.schema import Recipe
from configs.task_columns import Column, Columns
from tests.trainers.data.kinds import REFUSED, WRITERS, Rows, columns, of_kinds
from tests.trainers.data.words import make_recipe, write_lines
from trainers.data.preparation import Prepared, prepare
from trainers.data.report_page import render_report
from trainers.data.store import open_split
from trainers.data.validation import find_problems

MULTI = columns("text", target=Column("label", "labels"))
TAGS = columns(Column("tokens", "words"), target=Column("tags", "tags"))
VALUE = columns("text", "text_b", target=Column("value", "number"))
PAIRS = columns("source", target=Column("target", "text"))
CHAT = columns(Column("messages", "json"), target=None)
IMAGE = columns(Column("image", "image"), target=Column("label", "label"))
PLAIN = columns("text", target=None)


def recipe_of(kind: Columns, path: Path, **sections: Any) -> Recipe:
    """Give a recipe whose task is one that such columns may belong to."""
    several = "multi_label_classification" if kind.has_classes else "text_regression"
    one_label = kind.target is not None and kind.target.kind == "label"
    task = {"kind": "text_classification" if one_label else several, **sections.pop("task", {})}
    return make_recipe(path, task=task, **sections)


def rows_of(kind: Columns, count: int = 40) -> Rows:
    """Rows with distinct inputs: as many labels as fit a third of the rows each, and so on."""
    names = [column.name for column in kind.all]
    made = []
    for n in range(count):
        cells: dict[str, Any] = {
            "text": f"text {n}",
            "text_b": "other words",
            "source": f"source {n}",
            "target": f"target {n % 7}",
            "value": n / 3,
            "tokens": ["word", str(n), "\u00fc"],
            "tags": ["O", "B-PER", "I-PER"][: n % 3 + 1] + ["O"] * (2 - n % 3),
            "messages": [{"role": "user", "content": f"hello {n}"}],
            "image": f"more/{n}.png",
        }
        several = {"label": ["a", "b"][: n % 3]}
        one = {"label": f"label-{n % 2}"}
        cells |= several if kind is MULTI else one
        made.append({name: cells[name] for name in names})
    return made


def prepare_rows(folder: Path, kind: Columns, rows: Rows, form: str = "jsonl") -> Prepared:
    path = folder / f"train.{form}"
    WRITERS[form](path, rows)
    (folder / "more").mkdir(exist_ok=True)
    for row in rows if kind is IMAGE else ():
        (folder / row["image"]).write_text(row["image"])
    recipe = recipe_of(kind, path, data={"validation": "25%"})
    return prepare(recipe, str(folder / f"store-{form}"), of_kinds(kind))


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        (MULTI, ("a", "b")),
        (TAGS, ("B-PER", "I-PER", "O")),
        (IMAGE, ("label-0", "label-1")),
        (VALUE, ()),
        (PAIRS, ()),
        (CHAT, ()),
        (PLAIN, ()),
    ],
)
def test_every_format_gives_the_same_shards(
    tmp_path: Path, kind: Columns, names: tuple[str, ...]
) -> None:
    rows = rows_of(kind)
    made = [prepare_rows(tmp_path, kind, rows, form) for form in WRITERS]
    splits = [each.manifest.splits for each in made]
    assert all(each == splits[0] for each in splits)
    assert sum(info.rows for info in splits[0].values()) == 40
    assert made[0].manifest.label_names == names
    assert made[0].manifest.numbers == {"start": 7}
    for each in made:
        assert list(find_problems(each.data_dir, deep=True)) == []
    counted = np.sum([info.class_counts for info in splits[0].values()], axis=0).tolist()
    if kind is MULTI:
        # Of each three rows the second has a, the third a and b: 13 threes and one row with none.
        assert counted == [26, 13]
    elif kind is TAGS:
        # One, two and three words of each three rows have O, B-PER and I-PER; the rest has O.
        assert counted == [26, 13, 120 - 39]
    page = render_report(made[0].manifest)
    assert ("<h2>Labels</h2>" in page) == bool(names)


@pytest.mark.parametrize("form", WRITERS)
def test_the_original_files_are_never_written_to(tmp_path: Path, form: str) -> None:
    path = tmp_path / f"train.{form}"
    WRITERS[form](path, rows_of(PAIRS))
    before = path.read_bytes(), path.stat().st_mtime_ns
    prepare(recipe_of(PAIRS, path), str(tmp_path / "store"), of_kinds(PAIRS))
    refused = recipe_of(PAIRS, path, data={"cleaning": {"max_characters": 1}})
    with pytest.raises(DataError, match="no rows left"):
        prepare(refused, str(tmp_path / "store"), of_kinds(PAIRS))
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before
    assert {each.name for each in tmp_path.iterdir()} == {path.name, "store"}


def test_what_a_person_sees_of_rows_of_each_kind(tmp_path: Path) -> None:
    seen = {}
    for name, kind in {"multi": MULTI, "value": VALUE, "image": IMAGE, "plain": PLAIN}.items():
        (tmp_path / name).mkdir()
        made = prepare_rows(tmp_path / name, kind, rows_of(kind))
        facts = inspect_set(made.data_dir, 40)
        seen[name] = facts.splits["train"].samples
        assert bool(facts.splits["train"].labels) == bool(made.manifest.label_names)
    assert {label for _, label in seen["multi"]} == {"", "a", "a, b"}
    assert all(float(label) <= 13 for _, label in seen["value"])
    assert {text for text, _ in seen["image"]} == {"<image>"}
    assert {label for _, label in seen["plain"]} == {""}
    assert {text for text, _ in seen["plain"]} <= {"4 1", "4 2"}


def test_rows_without_a_target_are_told_apart_by_their_inputs(tmp_path: Path) -> None:
    rows = rows_of(PLAIN)
    made = prepare_rows(tmp_path, PLAIN, [*rows, *rows[:5]])
    report = made.manifest.report
    assert (report.duplicates, report.conflicts, report.rows_in) == (5, 0, 45)
    found = open_split(made.data_dir, made.manifest, "train").read(np.arange(20))
    assert len(set(found["row_id"].to_pylist())) == 20
    assert found["row_id"].to_pylist() != found["input_id"].to_pylist()


def test_cells_that_may_be_empty_keep_their_rows(tmp_path: Path) -> None:
    kind = columns("prompt", Column("input", "text", may_be_empty=True), target=None)
    rows = [
        {"prompt": f"do {n}", "input": ["", None, " ", "x"][n % 4]} if n else {"prompt": "do"}
        for n in range(20)
    ]
    made = prepare_rows(tmp_path, kind, rows)
    assert made.manifest.report.dropped == {}
    assert sum(info.rows for info in made.manifest.splits.values()) == 20
    without = columns("prompt", "input", target=None)
    (tmp_path / "other").mkdir()
    dropped = prepare_rows(tmp_path / "other", without, rows).manifest.report.dropped
    assert dropped == {"missing input": 15}


def test_no_label_is_a_label_too_for_rows_with_several(tmp_path: Path) -> None:
    rows = [{"text": f"text {n}", "label": ["a", "b"]} for n in range(9)]
    train = write_lines(tmp_path / "train.jsonl", rows)
    test = write_lines(tmp_path / "test.jsonl", [{"text": "t", "label": []}, {"text": "u"}])
    recipe = recipe_of(MULTI, train, data={"test": test})
    manifest = prepare(recipe, str(tmp_path / "store"), of_kinds(MULTI)).manifest
    assert manifest.splits["test"].class_counts == (0, 0)
    assert (manifest.splits["test"].rows, manifest.report.dropped) == (1, {"missing label": 1})


def test_labels_of_lists_that_nobody_knows(tmp_path: Path) -> None:
    rows = [{"text": f"text {n}", "label": ["a", "b"]} for n in range(9)]
    train = write_lines(tmp_path / "train.jsonl", [*rows, {"text": "x", "label": ["b", "c"]}])
    recipe = recipe_of(MULTI, train, task={"labels": ["a", "b"]})
    with pytest.raises(DataError, match=r"train.jsonl row 10: label 'c' in column label is not in"):
        prepare(recipe, str(tmp_path / "store"), of_kinds(MULTI))
    recipe = recipe_of(
        MULTI, train, task={"labels": ["a", "b"]}, data={"cleaning": {"unknown_labels": "drop"}}
    )
    manifest = prepare(recipe, str(tmp_path / "store"), of_kinds(MULTI)).manifest
    assert manifest.report.dropped == {"unknown label": 1}
    test = write_lines(tmp_path / "test.jsonl", [{"text": "y", "label": ["a", "d"]}])
    recipe = recipe_of(MULTI, train, data={"test": test})
    with pytest.raises(
        DataError, match=r"label 'd' is in 1 row of test \(such as test.jsonl row 1\)"
    ):
        prepare(recipe, str(tmp_path / "store"), of_kinds(MULTI))


def test_a_row_that_the_task_refuses_is_named(tmp_path: Path) -> None:
    rows = rows_of(PLAIN)
    rows[17] = {"text": REFUSED}
    with pytest.raises(DataError, match=r"^train.jsonl row 18: the row asks for it. Take it out$"):
        prepare_rows(tmp_path, PLAIN, rows)


@pytest.mark.parametrize("form", ["jsonl", "json", "parquet", "arrow", "csv"])
def test_groups_and_times_may_be_numbers(tmp_path: Path, form: str) -> None:
    rows = [
        {**row, "user": n // 4, "when": 1_700_000_000 + n} for n, row in enumerate(rows_of(PAIRS))
    ]
    path = tmp_path / f"train.{form}"
    WRITERS[form](path, rows)
    found = {}
    for rule in ({"by": "group", "column": "user"}, {"by": "time", "column": "when"}):
        recipe = recipe_of(PAIRS, path, data={"validation": "25%", "split": rule})
        splits = prepare(recipe, str(tmp_path / "store"), of_kinds(PAIRS)).manifest.splits
        found[rule["by"]] = splits["validation"].rows
    assert found["group"] % 4 == 0 < found["group"]
    assert found["time"] == 10


def test_times_may_be_times_of_arrow(tmp_path: Path) -> None:
    stamps = pa.array([1_700_000_000_000_000_000 + n * 10**9 for n in range(40)])
    for kind in (pa.timestamp("ns"), pa.timestamp("ns", "Europe/Berlin"), pa.timestamp("s")):
        table, path = pa.Table.from_pylist(rows_of(PAIRS)), tmp_path / "train.parquet"
        values = stamps if "ns" in str(kind) else pa.array([v // 10**9 for v in stamps.to_pylist()])
        pq.write_table(table.append_column("when", values.cast(kind)), path)
        rule = {"by": "time", "column": "when"}
        recipe = recipe_of(PAIRS, path, data={"test": "10%", "split": rule})
        manifest = prepare(recipe, str(tmp_path / "store"), of_kinds(PAIRS)).manifest
        assert manifest.splits["test"].rows == 4
