"""Plain text to tokens: every token but the first is a target, an end token follows."""

from typing import Any

import pyarrow as pa
import pytest

from configs.task_columns import Column, Columns
from configs.task_sections import LanguageModeling
from tests.tiny_causal import make_byte_tokenizer
from trainers.tasks import functions_of
from trainers.tasks.language_modeling import LANGUAGE_MODELING
from trainers.tasks.refusals import RowError

TASK = LanguageModeling(kind="language_modeling", text="body")
END = 0


def encoded(*texts: str, limit: int = 64) -> Any:
    tokenizer = make_byte_tokenizer()
    return LANGUAGE_MODELING.encode(TASK, tokenizer, limit, (), pa.table({"body": list(texts)}))


def test_the_task_has_its_functions_and_columns() -> None:
    assert functions_of(TASK) is LANGUAGE_MODELING
    assert LANGUAGE_MODELING.columns(TASK) == Columns((Column("body", "text"),), None)


def test_every_token_but_the_first_is_a_target() -> None:
    table = encoded("abc", "d")
    a, b, c, d = make_byte_tokenizer()("abcd")["input_ids"]
    assert table["input_ids"].to_pylist() == [[a, b, c, END], [d, END]]
    assert table["label"].to_pylist() == [[-100, b, c, END], [-100, END]]
    assert table["length"].to_pylist() == [4, 2]


def test_a_long_text_is_cut_and_has_no_end() -> None:
    table = encoded("abcdef", limit=3)
    assert table["length"].to_pylist() == [3]
    assert END not in table["input_ids"].to_pylist()[0]


def test_a_text_with_nothing_to_foretell_is_refused() -> None:
    with pytest.raises(RowError, match="1 tokens leave nothing to predict") as refused:
        encoded("ab", "")
    assert refused.value.index == 1
    with pytest.raises(RowError, match=r"raise batch\.max_length"):
        encoded("ab", limit=1)


def test_a_long_prompt_keeps_its_end() -> None:
    cells = pa.table({"body": ["abcdef", ""]})
    table = LANGUAGE_MODELING.encode_inputs(TASK, make_byte_tokenizer(), 2, cells)
    assert table["input_ids"].to_pylist()[0] == make_byte_tokenizer()("ef")["input_ids"]
    assert table["length"].to_pylist() == [2, 1]  # something must be gone on from


def test_a_text_without_a_token_has_nothing_to_be_gone_on_from() -> None:
    tokenizer = make_byte_tokenizer()
    tokenizer.pad_token, tokenizer.eos_token = tokenizer.eos_token, None
    cells = pa.table({"body": ["ab", ""]})
    with pytest.raises(RowError, match="the text has no tokens, and the tokenizer none") as refused:
        LANGUAGE_MODELING.encode_inputs(TASK, tokenizer, 8, cells)
    assert refused.value.index == 1
