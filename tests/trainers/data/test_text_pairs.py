"""Text pairs: line by line, and both numbers of lines where they differ."""

import gzip
from pathlib import Path

import pytest

from configs.errors import DataError
from trainers.data.cells import Asked
from trainers.data.text_pairs import MAX_ROWS, read_text_pairs

COLUMNS = [Asked("text", "text"), Asked("label", "label")]


def pairs(first: Path, second: Path) -> list[tuple[str, ...]]:
    names = (first.name, second.name)
    tables = read_text_pairs((first, second), names, COLUMNS, "utf-8")
    return [tuple(row.values()) for table in tables for row in table.to_pylist()]


def test_lines_meet_whatever_the_compression_and_the_line_ends(tmp_path: Path) -> None:
    count = MAX_ROWS + 5
    first, second = tmp_path / "a.txt", tmp_path / "b.txt.gz"
    first.write_text("".join(f"x\u2028{n}\n" for n in range(count)), encoding="utf-8")
    second.write_bytes(gzip.compress("".join(f"y{n}\r\n" for n in range(count)).encode()))
    assert pairs(first, second) == [(f"x\u2028{n}", f"y{n}") for n in range(count)]


@pytest.mark.parametrize("counts", [(3, 2), (0, 1), (2 * MAX_ROWS + 1, 7)])
def test_other_numbers_of_lines_are_both_named(tmp_path: Path, counts: tuple[int, int]) -> None:
    paths = [tmp_path / "a.txt", tmp_path / "b.txt"]
    for path, count in zip(paths, counts, strict=True):
        path.write_text("x\n" * count)
    with pytest.raises(
        DataError, match=f"a.txt has {counts[0]} lines, b.txt has {counts[1]}. Give each line"
    ):
        pairs(*paths)


def test_two_files_give_two_columns(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="give two columns, the task reads 3"):
        list(read_text_pairs((tmp_path, tmp_path), ("a", "b"), [*COLUMNS, *COLUMNS[:1]], "utf-8"))


def test_lines_may_be_of_any_kind_and_the_wrong_one_is_named(tmp_path: Path) -> None:
    first, second = tmp_path / "a.txt", tmp_path / "b.txt"
    first.write_text("EU rejects\nPeter\n")
    second.write_text("B-ORG O\nB-PER\n")
    asked = [Asked("tokens", "words"), Asked("tags", "tags")]
    tables = read_text_pairs((first, second), ("a.txt", "b.txt"), asked, "utf-8")
    assert [row for table in tables for row in table.to_pylist()] == [
        {"tokens": '["EU","rejects"]', "tags": '["B-ORG","O"]'},
        {"tokens": '["Peter"]', "tags": '["B-PER"]'},
    ]
    asked = [Asked("tokens", "words"), Asked("value", "number")]
    with pytest.raises(DataError, match=r"^b.txt row 1: column value is text \(B-ORG O\), not a"):
        list(read_text_pairs((first, second), ("a.txt", "b.txt"), asked, "utf-8"))
