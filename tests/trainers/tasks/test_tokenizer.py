"""Tokenizers from folders: how long a row may be, what pads it, what is refused."""

from pathlib import Path

import pytest
import torch

from configs.errors import RecipeError
from configs.model_sections import Model
from tests.origin import NAMES
from tests.tiny import make_model_folder, make_tokenizer
from trainers.tasks.pretrained import Head, build_pretrained
from trainers.tasks.tokenizer import load_tokenizer

AUTO = "AutoModelForSequenceClassification"


@pytest.mark.parametrize("kind", ["bert", "distilbert", "roberta", "modernbert", "gpt2"])
def test_rows_as_long_as_the_tokenizer_says_fit_the_model(tmp_path: Path, kind: str) -> None:
    make_model_folder(tmp_path, kind)
    # A tokenizer that was saved without a limit.
    tokenizer = make_tokenizer(kind)
    tokenizer.model_max_length = int(1e30)
    tokenizer.save_pretrained(tmp_path)
    limit = load_tokenizer(Model(path=str(tmp_path))).model_max_length
    assert limit == 64
    model, _, _ = build_pretrained(AUTO, Model(path=str(tmp_path)), Head(NAMES))
    longest = torch.full((1, limit), 5)
    assert model(input_ids=longest, attention_mask=torch.ones_like(longest)).logits.shape == (1, 3)


def test_a_folder_without_tokenizer_is_refused(tmp_path: Path) -> None:
    make_model_folder(tmp_path)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).unlink()
    with pytest.raises(RecipeError, match="has no tokenizer"):
        load_tokenizer(Model(path=str(tmp_path)))


def test_a_tokenizer_that_is_damaged_is_refused(tmp_path: Path) -> None:
    make_model_folder(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": 7')
    with pytest.raises(RecipeError, match=r"has no tokenizer that can be loaded: .*\. Save the"):
        load_tokenizer(Model(path=str(tmp_path)))


def test_a_tokenizer_that_cannot_pad_is_refused(tmp_path: Path) -> None:
    make_model_folder(tmp_path, "gpt2")
    tokenizer = make_tokenizer("gpt2")
    tokenizer.eos_token = None
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(RecipeError, match="neither a padding nor an end token"):
        load_tokenizer(Model(path=str(tmp_path)))
