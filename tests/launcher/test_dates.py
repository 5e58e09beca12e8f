"""Days in two languages."""

from pathlib import Path

from launcher.dates import date_pairs, write_dates


def test_a_day_stands_in_the_same_line_of_both_files(tmp_path: Path) -> None:
    english, french = write_dates(tmp_path / "new", rows=40)
    lines = [path.read_text(encoding="utf-8").splitlines() for path in (english, french)]
    pairs = list(zip(*lines, strict=True))
    assert pairs == date_pairs(40)
    assert len(set(lines[0])) == 40
    years = [(one[-4:], other[-4:]) for one, other in pairs]
    assert all(one == other and one.isdigit() for one, other in years)


def test_what_is_there_is_not_written_again(tmp_path: Path) -> None:
    english, french = tmp_path / "dates.en.txt", tmp_path / "dates.fr.txt"
    english.write_text("mine\n")
    french.write_text("le mien\n")
    assert write_dates(tmp_path) == (english, french)
    assert english.read_text() == "mine\n"
