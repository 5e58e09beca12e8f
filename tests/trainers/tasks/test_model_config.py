"""Configs of models: what is none, how many positions there are."""

from pathlib import Path

import pytest

from configs.errors import RecipeError
from configs.model_sections import Model
from tests.tiny import make_model_folder
from trainers.tasks.model_config import first_line, load_config, max_positions, source_of


def test_a_folder_without_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="is no model that can be loaded"):
        load_config(Model(path=str(tmp_path)))


def test_a_folder_that_is_not_there_is_never_asked_of_the_hub(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"absent\) is no folder on .*\. Give one that"):
        source_of(Model(path=str(tmp_path / "absent")))


@pytest.mark.parametrize("kind", ["bert", "distilbert", "roberta", "modernbert", "gpt2"])
def test_positions_are_those_that_a_row_may_take(tmp_path: Path, kind: str) -> None:
    config = load_config(Model(path=str(make_model_folder(tmp_path, kind))))
    assert max_positions(config) == 64  # of RoBERTa's 66 the first two stand before any row


def test_a_model_without_a_limit_takes_any_row() -> None:
    from transformers import T5Config

    assert max_positions(T5Config()) == 10**9


def test_what_a_library_says_is_one_line() -> None:
    assert first_line(OSError("No such file.\nTry again.")) == "No such file"
    assert first_line(ValueError()) == "ValueError"


def test_the_revision_is_asked_for() -> None:
    asked = source_of(Model(path="org/model", revision="v1"))
    assert asked == {"revision": "v1", "trust_remote_code": False}
