"""Label names: their order, and what is said about labels that training never sees."""

import pytest

from configs.errors import DataError
from trainers.data.labels import choose_label_names


def test_names_are_sorted_and_integers_as_integers() -> None:
    assert choose_label_names(None, {"train": {"b": 1, "a": 1, "10": 1}}) == ("10", "a", "b")
    assert choose_label_names(None, {"train": {"10": 1, "9": 1, "-3": 1}}) == ("-3", "9", "10")
    # 01 is no integer's decimal string, so these are words.
    assert choose_label_names(None, {"train": {"10": 1, "9": 1, "01": 1}}) == ("01", "10", "9")


def test_names_asked_for_keep_their_order_and_may_be_rare() -> None:
    counts = {"train": {"a": 5}, "test": {"b": 1}}
    assert choose_label_names(("b", "a", "c"), counts) == ("b", "a", "c")


@pytest.mark.parametrize("split", ["test", "validation"])
def test_a_label_outside_training_is_named(split: str) -> None:
    with pytest.raises(
        DataError, match=rf"label 'c' is in 2 rows of {split} and in no training row"
    ):
        choose_label_names(None, {"train": {"a": 1, "b": 1}, split: {"a": 4, "c": 2}})


def test_a_label_that_was_not_asked_for_is_named() -> None:
    with pytest.raises(DataError, match=r"label 'c' \(1 row of train\) is not in task.labels"):
        choose_label_names(("a", "b"), {"train": {"a": 1, "c": 1}})


def test_one_label_is_too_few() -> None:
    with pytest.raises(DataError, match=r"one label only \(a\)"):
        choose_label_names(None, {"train": {"a": 9}})
