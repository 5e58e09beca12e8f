"""What stands in several sections of tasks keeps its sentence in each."""

import pytest

from configs.task_fields import check_columns, check_labels
from configs.task_sections import (
    LanguageModeling,
    MultiLabelClassification,
    TextClassification,
    TextRegression,
    TokenClassification,
)


def test_a_shared_field_has_its_sentence_in_each_section() -> None:
    for section in (TextClassification, MultiLabelClassification, TextRegression):
        fields = section.model_fields
        assert fields["text"].description == "Column with the text."
        assert (fields["text_b"].description or "").endswith("; None for single texts.")
    assert (TokenClassification.model_fields["labels"].description or "").startswith("The tags")
    schema = LanguageModeling.model_json_schema()["properties"]["generation"]
    assert schema["description"] == "How text is written in evaluation and prediction."
    assert schema["default"]["evaluation_rows"] == 0


def test_columns_differ() -> None:
    check_columns(("a", None, None, "b"))
    with pytest.raises(ValueError, match="columns a, a must differ"):
        check_columns(("a", None, "a"))


def test_labels_are_two_or_more_each_once() -> None:
    assert check_labels(None) is None
    assert check_labels(("b", "a")) == ("b", "a")
    for labels in (("a",), ("a", "a"), ()):
        with pytest.raises(ValueError, match=r"at least two names\. Give each once"):
            check_labels(labels)
