"""Rows that a task cannot encode: all of them are found, told or dropped."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from configs.cleaning_sections import Cleaning
from configs.errors import DataError
from tests.trainers.data.words import WORDS, make_recipe, numbered_rows, write_lines
from trainers.data.preparation import prepare
from trainers.data.report import Tally
from trainers.data.store import open_split
from trainers.data.unusable import encode_usable, settle, without
from trainers.tasks.refusals import RowError


def encoded(rows: pa.Table, bad: Sequence[int], calls: list[int]) -> pa.Table:
    """Encode numbers; some cannot be, and the first of these is told."""
    calls.append(len(rows))
    for place, number in enumerate(rows["n"].to_pylist()):
        if number in bad:
            raise RowError(place, f"{number} is bad ('so'). Take it out")
    return rows.select(["n"])


@pytest.mark.parametrize("count", [1, 2, 63, 64, 65, 4096])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 1.0])
def test_every_row_that_cannot_be_encoded_is_found(count: int, share: float) -> None:
    rows = pa.table({"n": range(count)})
    bad = np.flatnonzero(np.random.default_rng(count).random(count) < share).tolist()
    calls: list[int] = []
    found, refused = encode_usable(lambda some: encoded(some, bad, calls), rows)
    assert sorted(refused) == bad
    assert {error.reason for error in refused.values()} <= {"N is bad"}
    good = [number for number in range(count) if number not in set(bad)]
    assert (found["n"].to_pylist() if found is not None else []) == good
    assert (without(rows, refused)["n"].to_pylist()) == good
    # Some few thousand, some dozen and alone: none more often than that.
    assert sum(calls) <= 3 * count


def test_one_row_is_told_in_its_own_words_and_several_by_reason() -> None:
    one = Tally(dropped={"bad": 1}, examples={"bad": ("a.csv row 3: it is bad. Mend it",)})
    with pytest.raises(DataError, match=r"^a\.csv row 3: it is bad\. Mend it$"):
        settle(Cleaning(), [one, Tally()], 100)
    other = Tally(
        dropped={"bad": 9, "worse": 1},
        examples={
            "bad": tuple(f"a.csv row {n}: x" for n in (12, 9, 100, 7, 8, 11)),
            "worse": ("b.csv row 1: y",),
        },
    )
    with pytest.raises(DataError) as caught:
        settle(Cleaning(), [one, other], 1000)
    assert str(caught.value) == (
        "11 of 1,000 rows cannot be used: 10 x bad (a.csv row 3, a.csv row 7, a.csv row 8, a.csv "
        "row 9, a.csv row 11, ...); 1 x worse (b.csv row 1). Mend them, or leave them out with "
        "data.cleaning.unusable: drop"
    )


def test_more_than_the_share_is_a_fault_of_the_whole() -> None:
    found = [Tally(dropped={"bad": 5}, examples={"bad": ("a.csv row 1: x",)})]
    assert settle(Cleaning(unusable="drop"), found, 100).dropped == {"bad": 5}
    with pytest.raises(DataError, match=r"5 of 99 rows \(5\.1 %\) .*share allows 5 %: 5 x bad"):
        settle(Cleaning(unusable="drop"), found, 99)
    assert settle(Cleaning(unusable="drop", unusable_share=1), found, 5).dropped == {"bad": 5}
    assert settle(Cleaning(), [Tally()], 0) == Tally()


def test_many_reasons_are_counted() -> None:
    reasons = [f"bad {letter}" for letter in "abcdefghijkl"]
    found = Tally(
        dropped=dict.fromkeys(reasons, 1), examples=dict.fromkeys(reasons, ("a row 1: x",))
    )
    with pytest.raises(DataError, match=r"12 of 12 rows .* 1 x bad j \(a row 1\); 2 more reasons"):
        settle(Cleaning(), [found], 12)


def refusing(task: Any, processor: Any, most: int, names: Any, cells: pa.Table) -> pa.Table:
    """Encode words, unless a text begins with `bad`."""
    for place, text in enumerate(cells[task.text].to_pylist()):
        if text.startswith("bad"):
            raise RowError(place, f"the text is bad ({text}). Take it out")
    return WORDS.encode(task, processor, most, names, cells)


STRICT = replace(WORDS, encode=refusing)


def bad_rows(*numbers: int) -> list[dict[str, str]]:
    return [{"text": f"bad {number}", "label": "label-0"} for number in numbers]


def test_a_set_without_them_is_whole(tmp_path: Path) -> None:
    rows = numbered_rows(40)
    train = write_lines(tmp_path / "train.jsonl", [*rows[:20], *bad_rows(1), *rows[20:]])
    recipe = make_recipe(train, data={"shard_rows": 1, "cleaning": {"unusable": "drop"}})
    made = prepare(recipe, str(tmp_path), STRICT)
    report, reason = made.manifest.report, "the text is bad"
    assert (report.rows_in, report.dropped) == (41, {reason: 1})
    (example,) = report.examples[reason]
    assert example.endswith("train.jsonl row 21: the text is bad (bad 1). Take it out")
    split = made.manifest.splits["train"]
    assert split.rows == 40 and len(split.shards) == 40
    assert len(open_split(made.data_dir, made.manifest, "train").read(np.arange(40))) == 40


def test_all_bad_rows_of_all_splits_are_told_at_once(tmp_path: Path) -> None:
    rows = numbered_rows(30)
    train = write_lines(tmp_path / "train.jsonl", [*rows[:25], *bad_rows(1, 2)])
    test = write_lines(tmp_path / "test.jsonl", [*rows[25:], *bad_rows(3)])
    with pytest.raises(DataError) as caught:
        prepare(make_recipe(train, data={"test": test}), str(tmp_path), STRICT)
    said = str(caught.value)
    assert said.startswith("3 of 33 rows cannot be used: 3 x the text is bad (")
    for place in ("test.jsonl row 6", "train.jsonl row 26", "train.jsonl row 27"):
        assert place in said


def test_a_split_of_which_nothing_can_be_used_is_refused(tmp_path: Path) -> None:
    train = write_lines(tmp_path / "train.jsonl", numbered_rows(30))
    test = write_lines(tmp_path / "test.jsonl", bad_rows(1))
    data = {"test": test, "cleaning": {"unusable": "drop", "unusable_share": 1}}
    with pytest.raises(DataError, match=r"data\.test has no row that can be used \(dropped: 1 the"):
        prepare(make_recipe(train, data=data), str(tmp_path), STRICT)
