"""Text files: Python's csv and json read back what they wrote."""

import csv
import json
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st

from trainers.data.text_files import read_delimited, read_json, read_json_lines

cells = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"), min_size=1, max_size=9)
rows = st.lists(st.tuples(cells, cells), min_size=1, max_size=9)


@given(rows, st.sampled_from(",\t"))
def test_delimited_files_round_trip(rows: list[tuple[str, str]], delimiter: str) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder, "rows")
        with path.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream, delimiter=delimiter, quoting=csv.QUOTE_ALL)
            writer.writerows([("text", "label"), *rows])
        assert list(read_delimited(path, "rows", delimiter, ["text", "label"])) == rows
        swapped = [(label, text) for text, label in rows]
        assert list(read_delimited(path, "rows", delimiter, ["label", "text"])) == swapped


@given(rows)
def test_json_files_round_trip(rows: list[tuple[str, str]]) -> None:
    records = [{"text": text, "label": label} for text, label in rows]
    with TemporaryDirectory() as folder:
        path = Path(folder, "rows")
        path.write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
        assert list(read_json_lines(path, "rows", ["text", "label"])) == rows
        path.write_text(json.dumps(records, ensure_ascii=False), encoding="utf-8")
        assert list(read_json(path, "rows", ["text", "label"])) == rows
