"""The columns of a task in their order, and whether they hold its classes."""

from configs.task_columns import Column, Columns


def test_the_target_comes_last() -> None:
    text, label = Column("text", "text"), Column("label", "label")
    assert Columns((text,), label).all == (text, label)
    assert Columns((text,), None).all == (text,)


def test_labels_and_tags_are_classes_and_numbers_are_not() -> None:
    text = (Column("text", "text"),)
    for kind in ("label", "labels", "tags"):
        assert Columns(text, Column("target", kind)).has_classes
    assert not Columns(text, Column("target", "number")).has_classes
    assert not Columns(text, None).has_classes


def test_predicting_does_without_columns_for_training() -> None:
    text, other = Column("text", "text"), Column("other", "text", for_training=True)
    assert Columns((text, other), None).to_predict == (text,)
