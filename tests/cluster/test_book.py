"""Records go to the file and to the log, each once."""

import io
from pathlib import Path

from cluster.book import Book
from configs.records import Note
from trainers.storage import append_lines


def note(text: str) -> Note:
    return Note(time=1.0, level="info", text=text)


def test_records_of_driver_and_workers_reach_the_log_in_order(tmp_path: Path) -> None:
    address = str(tmp_path / "metrics.jsonl")
    append_lines(address, [note("of an earlier job").model_dump_json()])
    log = io.StringIO()
    book = Book(address, log)
    book.write(note("driver"))
    append_lines(address, [note("worker").model_dump_json()])
    book.echo()
    book.echo()
    expected = [note("driver").model_dump_json(), note("worker").model_dump_json()]
    assert log.getvalue().splitlines() == expected
