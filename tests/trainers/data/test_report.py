"""Tallies: they add up, examples are bounded and keep their order."""

import numpy as np
import pyarrow as pa

from trainers.data.report import (
    EXAMPLE_CHARACTERS,
    MAX_EXAMPLES,
    PLACE,
    Tally,
    View,
    add_tallies,
    places,
    shown_text,
)


def test_tallies_add_up() -> None:
    first = Tally(duplicates=1, dropped={"a": 2}, contamination={"c": 1})
    second = Tally(duplicates=2, conflicts=3, dropped={"a": 1, "b": 1}, changed={"d": 4})
    assert add_tallies([first, second]) == Tally(
        duplicates=3,
        conflicts=3,
        dropped={"a": 3, "b": 1},
        changed={"d": 4},
        contamination={"c": 1},
    )


def test_examples_are_bounded_and_stay_in_order() -> None:
    many = tuple(str(n) for n in range(MAX_EXAMPLES))
    parts = [{"b": ("x",)}, {"a": ("y",), "b": many}]
    merged = add_tallies([Tally(examples=examples) for examples in parts]).examples
    assert merged == {"a": ("y",), "b": ("x", *many[:-1])}


def test_places_name_file_and_row() -> None:
    view = View(("text", "label"), ("a.csv", "b.csv"))
    found = places(1, 7, 2)
    assert [view.place_name(place) for place in found.to_pylist()] == ["b.csv row 7", "b.csv row 8"]
    rows = pa.table({"text": ["t", "u"], "label": ["x", "y"], PLACE: found})
    mask = np.array([False, True])
    assert view.show(rows, mask) == ["b.csv row 8: u | y"]
    assert view.first_place(rows, mask) == "b.csv row 8"


def test_the_bytes_of_an_image_are_not_shown() -> None:
    view = View(("image", "label"), ("a.csv",))
    rows = pa.table({"image": ["data:;base64,AAAA"], "label": ["x"], PLACE: places(0, 1, 1)})
    assert view.show(rows, np.array([True])) == ["a.csv row 1: <image> | x"]
    assert len(shown_text("a" * 1000)) == EXAMPLE_CHARACTERS
