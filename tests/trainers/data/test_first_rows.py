"""First rows of a source of any format and any size, in bounded time and memory."""

import gzip
import json
import resource
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from configs.errors import DataError
from configs.source_sections import SourceEntry
from configs.task_columns import Column, Columns
from tests.bad_input.data_cases import DATA, GOOD, Case
from trainers.data.first_rows import MOST_BYTES, SMALL_BYTES, read_first_rows
from trainers.data.sources import Source, find_input

TEXTS = Columns((Column("text", "text"),), Column("label", "label"))
ROWS = [{"text": f"row {number}", "label": "ab"[number % 2]} for number in range(50)]


def source(path: Path, content: bytes, **more: Any) -> Source:
    path.write_bytes(content)
    (found,) = find_input(str(path))
    return found.model_copy(update=more)


def as_csv(rows: list[dict[str, str]], sign: str = ",") -> bytes:
    lines = [["text", "label"], *(list(row.values()) for row in rows)]
    return "".join(f"{sign.join(line)}\n" for line in lines).encode()


CONTENTS = {
    "a.csv": as_csv(ROWS),
    "a.tsv": as_csv(ROWS, "\t"),
    "a.jsonl": "".join(f"{json.dumps(row)}\n" for row in ROWS).encode(),
    "a.json": json.dumps(ROWS).encode(),
    "a.csv.gz": gzip.compress(as_csv(ROWS)),
}


@pytest.mark.parametrize("name", CONTENTS)
def test_rows_of_a_small_file_are_all_read(name: str, tmp_path: Path) -> None:
    rows = read_first_rows(source(tmp_path / name, CONTENTS[name]), TEXTS)
    assert rows is not None and rows.to_pylist() == ROWS


@pytest.mark.parametrize("kind", ["parquet", "arrow"])
def test_rows_of_arrow_files_are_read_and_types_of_large_ones(kind: str, tmp_path: Path) -> None:
    for wide in (1, 2 * SMALL_BYTES // 50):
        rows = pa.table({"text": [f"{n}" * wide for n in range(50)], "label": ["a", "b"] * 25})
        path = tmp_path / f"{wide}.{kind}"
        if kind == "parquet":
            pq.write_table(rows, path, compression="none", use_dictionary=False)
        else:
            with pa.ipc.new_file(str(path), rows.schema) as writer:
                writer.write_table(rows)
        (found,) = find_input(str(path))
        read = read_first_rows(found, TEXTS)
        assert (read is None) == (wide > 1)
        with pytest.raises(DataError, match="no column lable"):
            read_first_rows(found, Columns(TEXTS.inputs, Column("lable", "label")))


def test_lines_of_two_files_are_read_together(tmp_path: Path) -> None:
    (tmp_path / "b.txt").write_text("".join(f"{'ab'[n % 2]}\n" for n in range(200_000)))
    given = SourceEntry(path=str(tmp_path / "a.txt"), pair=str(tmp_path / "b.txt"))
    (tmp_path / "a.txt").write_text("".join(f"some text {n}\n" for n in range(200_000)))
    pair = Source(split="train", address=str(given.path), format="text", pair=given.pair)
    rows = read_first_rows(pair, TEXTS)
    assert rows is not None and 1_000 < rows.num_rows < 200_000


def test_images_are_not_opened(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        Image.new("RGB", (2, 2)).save(tmp_path / name / "1.png")
    images = Columns((Column("image", "image"),), Column("label", "label"))
    for found in find_input(str(tmp_path)):
        assert read_first_rows(found, images) is None
        with pytest.raises(DataError, match="no column picture"):
            read_first_rows(found, Columns((Column("picture", "image"),), Column("label", "label")))


LARGE = [{"text": f'said "so", and\nthen {number}', "label": "a"} for number in range(60_000)]


def quoted(rows: list[dict[str, str]]) -> bytes:
    cells = (f'"{row["text"].replace(chr(34), chr(34) * 2)}",{row["label"]}\n' for row in rows)
    return ("text,label\n" + "".join(cells)).encode()


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.json", "a.csv.gz"])
@pytest.mark.parametrize("start", range(3))
def test_a_large_file_is_cut_without_a_false_word(name: str, start: int, tmp_path: Path) -> None:
    rows = LARGE[start:]
    content = {
        "a.csv": quoted(rows),
        "a.jsonl": "".join(f"{json.dumps(row)}\n" for row in rows).encode(),
        "a.json": json.dumps(rows).encode(),
        "a.csv.gz": gzip.compress(quoted(rows), 1),
    }[name]
    read = read_first_rows(source(tmp_path / name, content), TEXTS)
    assert read is not None and 500 < read.num_rows < len(rows)
    assert read.to_pylist() == rows[: read.num_rows]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "cp1252", "utf-8"])
def test_a_large_file_of_any_encoding_is_cut_between_lines(encoding: str, tmp_path: Path) -> None:
    rows = [{"text": f"caf\xe9 {number}", "label": "a"} for number in range(200_000)]
    content = as_csv(rows).decode().encode(encoding)
    read = read_first_rows(source(tmp_path / "a.csv", content, encoding=encoding), TEXTS)
    assert read is not None and read.to_pylist()[:3] == rows[:3] and read.num_rows < len(rows)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", b"text,label\n" + b"x" * 6 * 2**20 + b",a\n"),
        ("a.csv", b"text,label\n" + b"y,b\n" * 400_000 + b"z,b,c\n"),
        ("a.csv.gz", gzip.compress(b"text,label\n" + b"x" * 400 * 2**20, 1)),
        ("a.jsonl.gz", gzip.compress(b'{"text": "' + b"x" * 400 * 2**20, 1)),
        ("a.json", b"[" + b'{"text": "t", "label": "l"},' * 400_000 + b"]"),
        ("a.json.gz", gzip.compress(b" " * 400 * 2**20, 1)),
        ("a.csv", b"text,label\n" + b'"' + b"x\n" * 2**20),
    ],
    ids=["cell", "late", "csv-bomb", "jsonl-bomb", "list", "blanks", "open-quote"],
)
def test_what_lies_behind_the_first_megabyte_takes_no_time(
    name: str, content: bytes, tmp_path: Path
) -> None:
    found = source(tmp_path / name, content)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.process_time()
    rows = read_first_rows(found, TEXTS)
    assert rows is None or rows.num_rows
    assert time.process_time() - began < 5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 * MOST_BYTES / 1024


def test_a_wrong_row_in_a_large_file_is_told_of(tmp_path: Path) -> None:
    content = b"text,label\n" + b"y,b\n" * 9 + b"z,b,c\n" + b"y,b\n" * 400_000
    with pytest.raises(DataError, match=r"a\.csv line 11 \(row 10\) has 3 cells"):
        read_first_rows(source(tmp_path / "a.csv", content), TEXTS)


ROWWISE = [case for case in DATA if case.file != "a.db" and not case.task and not case.data]


@pytest.mark.parametrize("case", ROWWISE, ids=[f"{n}-{c.file}" for n, c in enumerate(ROWWISE)])
def test_what_is_told_of_first_rows_is_what_preparation_says(case: Case, tmp_path: Path) -> None:
    (tmp_path / case.file).write_bytes(case.content)
    try:
        (found,) = find_input(str(tmp_path / case.file))
        read_first_rows(found, TEXTS)
    except DataError as error:
        assert case.words in str(error)


def test_good_rows_are_good(tmp_path: Path) -> None:
    assert read_first_rows(source(tmp_path / "a.csv", GOOD), TEXTS) is not None
    with pytest.raises(DataError, match="no column speaker"):
        read_first_rows(source(tmp_path / "a.csv", GOOD), TEXTS, "speaker")
