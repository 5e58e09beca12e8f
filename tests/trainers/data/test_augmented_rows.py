"""Changed rows in the place of shard rows: in training alone, the same wherever they are read."""

from pathlib import Path

import numpy as np
import pytest

from configs.errors import RecipeError
from configs.schema import Recipe
from tests.recipes import tiny_recipe
from tests.tiny import make_model_folder
from trainers.data.augmentation import RAW
from trainers.data.augmented_rows import build_change
from trainers.data.batches import Change
from trainers.data.preparation import Prepared, prepare
from trainers.data.store import Split, open_split
from trainers.tasks import functions_of

OPTIONS = {"probability": 0.5, "mask": 0.5, "delete": 0.2}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("augmented")


def prepared(folder: Path, **options: object) -> tuple[Recipe, Prepared]:
    recipe = tiny_recipe(folder, augmentation=options)
    return recipe, prepare(recipe, recipe.storage)


def opened(folder: Path) -> tuple[Recipe, Split, Change]:
    recipe, made = prepared(folder, **OPTIONS)
    change = build_change(recipe, made.manifest.max_length)
    assert change is not None
    return recipe, open_split(made.data_dir, made.manifest, "train"), change


def test_rows_that_are_not_chosen_keep_their_tokens(folder: Path) -> None:
    _, split, change = opened(folder)
    before = split.read(np.arange(split.info.rows))
    after = change(before, 0)
    assert after.schema == before.schema
    assert after["row_id"].to_pylist() == before["row_id"].to_pylist()
    assert after["label"].to_pylist() == before["label"].to_pylist()
    pairs = zip(before["input_ids"].to_pylist(), after["input_ids"].to_pylist(), strict=True)
    same = [old == new for old, new in pairs]
    assert 0.2 < sum(same) / len(same) < 0.8
    assert after["length"].to_pylist() == [len(ids) for ids in after["input_ids"].to_pylist()]


def test_changed_rows_do_not_depend_on_what_is_read_with_them(folder: Path) -> None:
    _, split, change = opened(folder)
    whole = change(split.read(np.arange(split.info.rows)), 1)["input_ids"].to_pylist()
    some = np.array([40, 3, 17])
    part = change(split.read(some), 1)["input_ids"].to_pylist()
    assert part == [whole[row] for row in some]
    assert whole != change(split.read(np.arange(split.info.rows)), 2)["input_ids"].to_pylist()


def test_changed_texts_are_tokenised_as_others_are(folder: Path) -> None:
    recipe, split, change = opened(folder)
    tokenizer = functions_of(recipe.task).load_processor(recipe.model)
    ids = change(split.read(np.arange(split.info.rows)), 0)["input_ids"].to_pylist()
    masked = [row for row in ids if tokenizer.mask_token_id in row]
    assert masked
    assert all(row[0] == tokenizer.cls_token_id for row in masked)


def test_without_augmentation_no_text_is_kept(folder: Path) -> None:
    recipe, made = prepared(folder)
    split = open_split(made.data_dir, made.manifest, "train")
    assert not any(name.startswith(RAW) for name in split.read(np.array([0])).column_names)
    assert build_change(recipe, made.manifest.max_length) is None


def test_masking_needs_a_mask_token(tmp_path: Path) -> None:
    make_model_folder(tmp_path / "model", kind="gpt2")
    recipe = tiny_recipe(tmp_path, augmentation={"mask": 0.1})
    with pytest.raises(RecipeError, match=r"augmentation.mask needs a mask token"):
        build_change(recipe, 32)
