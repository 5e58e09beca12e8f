"""JSON values: one after another with their places, whatever the pieces they are read in."""

from pathlib import Path

import pytest

from configs.errors import DataError
from trainers.data import json_values, text_streams
from trainers.data.json_values import field_values, read_values
from trainers.data.text_streams import READ_BYTES

VALUES = [{"a": 1}, [2, "\u00fc"], "three", None]


@pytest.mark.parametrize("size", [1, 7, 100])
def test_values_have_their_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(json_values, "READ_BYTES", size)
    monkeypatch.setattr(text_streams, "READ_BYTES", size)
    path = tmp_path / "rows"
    path.write_text(' [{"a": 1}, [2, "\u00fc"],\n"three", null] ', encoding="utf-8")
    found = list(read_values(path, "rows", "utf-8", lines=False))
    assert found == [(f"row {number}", value) for number, value in enumerate(VALUES, 1)]
    path.write_text('{"a": 1}\n\n[2, "\u00fc"]\n"three"\nnull', encoding="utf-8")
    found = list(read_values(path, "rows", "utf-8", lines=True))
    assert [place for place, _ in found] == ["line 1", "line 3", "line 4", "line 5"]
    assert [value for _, value in found] == VALUES
    assert list(read_values(path, "rows", "utf-8", lines=False)) == found


def test_what_is_no_json_is_named(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    path.write_text("{}\nx\n")
    with pytest.raises(DataError, match=r"^rows line 2 is not JSON: .* Correct or remove it$"):
        list(read_values(path, "rows", "utf-8", lines=True))
    path.write_text("[{}, x]")
    with pytest.raises(DataError, match=r"^rows is not JSON: .*\(line 1, after row 1\)"):
        list(read_values(path, "rows", "utf-8", lines=False))


def test_an_object_without_end_is_refused() -> None:
    blanks = b" " * READ_BYTES

    def read(size: int) -> bytes:
        return blanks[:size]

    with pytest.raises(DataError, match="one object of more than 512 MiB"):
        list(field_values(read, "a.json", "rows"))
