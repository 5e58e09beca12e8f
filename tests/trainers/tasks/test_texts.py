"""Texts and pairs of texts to columns and rows."""

import pyarrow as pa

from configs.task_columns import Column
from configs.task_sections import TextRegression
from tests.tiny import make_tokenizer
from trainers.tasks.texts import encode_texts, text_columns

ONE = TextRegression(kind="text_regression", text="first")
PAIR = TextRegression(kind="text_regression", text="first", text_b="second")
CELLS = pa.table({"second": ["an", "a"], "first": ["a", "a an"]})


def test_the_first_text_stands_first() -> None:
    assert text_columns(ONE) == (Column("first", "text"),)
    assert text_columns(PAIR) == (Column("first", "text"), Column("second", "text"))


def test_a_pair_is_one_row() -> None:
    # The vocabulary of tests.tiny: [CLS] 2, [SEP] 3, "a" 4, "an" 5.
    rows = encode_texts(PAIR, make_tokenizer(), 64, CELLS)
    assert rows["input_ids"].to_pylist() == [[2, 4, 3, 5, 3], [2, 4, 5, 3, 4, 3]]
    assert rows.column_names == ["input_ids", "token_type_ids", "length"]
    rows = encode_texts(ONE, make_tokenizer(), 3, CELLS)
    assert rows["input_ids"].to_pylist() == [[2, 4, 3], [2, 4, 3]]
