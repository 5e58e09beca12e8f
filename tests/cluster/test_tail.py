"""New lines of a growing file."""

from pathlib import Path

from cluster.tail import RecordTail
from trainers.storage import append_lines, write_atomically


def test_each_line_comes_once(tmp_path: Path) -> None:
    address = str(tmp_path / "metrics.jsonl")
    tail = RecordTail(address)
    assert tail.new_lines() == []
    append_lines(address, ["a", "b"])
    assert tail.new_lines() == ["a", "b"]
    append_lines(address, ["c"])
    assert tail.new_lines() == ["c"]
    assert tail.new_lines() == []


def test_half_a_line_waits_for_its_end(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    tail = RecordTail(str(path))
    path.write_text("a\nhal")
    assert tail.new_lines() == ["a"]
    with path.open("a") as stream:
        stream.write("f\n")
    assert tail.new_lines() == ["half"]


def test_rewritten_file_gives_only_what_is_new(tmp_path: Path) -> None:
    address = str(tmp_path / "metrics.jsonl")
    tail = RecordTail(address)
    append_lines(address, ["step 1", "step 2", "step 3"])
    assert tail.new_lines() == ["step 1", "step 2", "step 3"]
    # A resumed attempt drops what came after its commit and goes on, longer than before.
    write_atomically(address, b"step 1\nstep 2\n")
    append_lines(address, ["step 3 again", "step 4"])
    assert tail.new_lines() == ["step 3 again", "step 4"]
