"""Which rows of an evaluation are shown."""

from hypothesis import given
from hypothesis import strategies as st

from trainers.sample_choice import chosen
from trainers.tasks.judging import Sample


def made(places: range, prediction: str) -> list[Sample]:
    return [Sample(f"row {place}", "a", prediction) for place in places]


def test_half_are_wrong_where_there_are_and_all_lengths_have_a_chance() -> None:
    rows = [*made(range(100), "a"), *made(range(100, 120), "b")]
    found = [sample.text for sample in chosen(rows, 4)]
    assert found == ["row 100", "row 110", "row 0", "row 50"]


def test_few_wrong_ones_leave_room_for_others_and_the_other_way_round() -> None:
    one = [*made(range(9), "a"), *made(range(9, 10), "b")]
    assert [sample.prediction for sample in chosen(one, 4)] == ["b", "a", "a", "a"]
    assert [sample.prediction for sample in chosen(made(range(9), "b"), 4)] == ["b"] * 4
    assert chosen([], 4) == chosen(one, 0) == []


@given(st.lists(st.sampled_from("ab")), st.integers(0, 20))
def test_as_many_as_there_are_and_none_twice(said: list[str], count: int) -> None:
    rows = [Sample(str(place), "a", word) for place, word in enumerate(said)]
    found = chosen(rows, count)
    assert len({sample.text for sample in found}) == len(found) == min(count, len(rows))
