"""Bad rows by reason."""

from trainers.data.bad_rows import BadRows


def test_rows_are_counted_by_reason_and_the_first_five_are_named() -> None:
    bad = BadRows()
    for number in range(1, 8):
        where = f"/data/in.csv row {number}"
        bad.add(where, f"{where}: column n is text (x{number}), not a number. Write it as one")
    bad.add("/data/in.csv row 9", "column text is empty. Fill it in")
    assert bad.total == 8
    named = ", ".join(f"in.csv row {number}" for number in range(1, 6))
    assert str(bad) == (
        f"7 x column n is text, not a number ({named}, ...); "
        "1 x column text is empty (in.csv row 9)"
    )
