"""What is seen of a recipe's files and model on this machine, before anything is shipped."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from cluster.first_look import BLOCKS, look_at, missing_model
from configs.errors import DataError, RecipeError
from configs.load import recipe_from
from configs.schema import Recipe

ROWS = "text,label\none,a\ntwo,b\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("train.csv").write_text(ROWS)
    Path("test.csv").write_text(ROWS)
    return tmp_path


def made(data: Any = None, **sections: Any) -> Recipe:
    value = {
        "name": "x",
        "model": {"path": "org/model"},
        "task": {"kind": "text_classification"},
        "data": {"train": "train.csv", **(data or {})},
    }
    return recipe_from(value | sections)


def model_folder(**config: Any) -> str:
    Path("m").mkdir(exist_ok=True)
    Path("m", "config.json").write_text(json.dumps(config))
    Path("m", "model.safetensors").touch()
    return "m"


def test_good_files_of_all_splits_are_taken() -> None:
    assert look_at(made({"test": "test.csv", "validation": 0.1})) == []


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"train": "t*.csv", "test": "sub/../test.csv"}, "data.test and data.train both name"),
        ({"validation": "train.csv"}, "take a share such as data.validation: 10%"),
        ({"validation": {"path": "link.csv"}}, "data.validation and data.train both name"),
        ({"test": ["test.csv", "train.csv"]}, "data.test and data.train both name"),
    ],
)
def test_rows_of_training_judge_nothing(data: Any, said: str) -> None:
    Path("sub").mkdir()
    os.symlink("train.csv", "link.csv")
    with pytest.raises(RecipeError, match="both name") as told:
        look_at(made(data))
    assert said in str(told.value)


def test_two_lists_of_one_file_are_two_sources() -> None:
    rows = [{"text": "one", "label": "a"}]
    Path("a.json").write_text(json.dumps({"train": rows, "test": rows}))
    split = {name: {"path": "a.json", "field": name} for name in ("train", "test")}
    assert look_at(made(split)) == []


@pytest.mark.parametrize(
    ("content", "data", "said"),
    [
        ("txt,label\none,a\n", {}, "has no column text. Nearest: txt"),
        ("", {}, "is empty"),
        ("text,label\n", {}, "has no rows"),
        (ROWS, {"split": {"by": "group", "column": "who"}, "test": 0.5}, "no column who"),
        (ROWS, {"train": "."}, "is a folder that has neither images"),
        (ROWS, {"train": "pipe"}, "is a device or a pipe"),
        (ROWS, {"test": {"path": "test.csv", "columns": {"text": "q"}}}, "no column q"),
    ],
)
def test_files_that_preparation_refuses_are_refused(content: str, data: Any, said: str) -> None:
    Path("train.csv").write_text(content)
    os.mkfifo("pipe")
    with pytest.raises(DataError) as told:
        look_at(made(data))
    assert said in str(told.value)


def test_what_the_cluster_alone_may_see_is_passed_over() -> None:
    rows = {"path": "postgresql://host/rows", "query": "SELECT 1"}
    for train in ("/seen/by/it.csv", "s3://bucket/rows.csv", "hf://datasets/o/n", rows):
        assert look_at(made({"train": train})) == []
    assert look_at(made({"train": ["/seen/by/it.csv", "train.csv"]})) == []


def test_folders_are_left_alone_where_asked() -> None:
    Path("empty").mkdir()
    assert look_at(made({"train": "empty"}), into_folders=False) == []
    for name in ("cat", "dog"):
        Path("pictures", name).mkdir(parents=True)
        Image.new("RGB", (2, 2)).save(Path("pictures", name, "1.png"))
    task = {"kind": "image_classification"}
    assert look_at(made({"train": "pictures"}, task=task)) == []
    with pytest.raises(DataError, match="no column text"):
        look_at(made({"train": "pictures"}))


def test_labels_are_compared_with_those_that_are_listed() -> None:
    task = {"kind": "text_classification", "labels": ["a", "c"]}
    (note,) = look_at(made(task=task))
    assert note.endswith("train.csv has labels that are not in task.labels: 'b'")
    with pytest.raises(DataError, match="they are 'a', 'b'"):
        look_at(made(task=task | {"labels": ["x", "y"]}))


def test_tags_that_no_scheme_has_are_noted() -> None:
    task = {"kind": "token_classification"}
    for tags, noted in (("B-x O", False), ("B X-y", True), ("NOUN VERB", False), ("B I", False)):
        Path("train.csv").write_text(f"tokens,tags\none two,{tags}\n")
        assert bool(look_at(made(task=task))) is noted


def test_gradual_unfreezing_takes_an_epoch_a_block() -> None:
    path = model_folder(model_type="bert", num_hidden_layers=6)
    for freezing in ({"preset": "ulmfit"}, {"gradual": True}):
        with pytest.raises(RecipeError, match=r"the 6 blocks .* but epochs is 6. Use epochs 7"):
            look_at(made(model={"path": path}, freezing=freezing, epochs=6))
        assert look_at(made(model={"path": path}, freezing=freezing, epochs=7)) == []
    with pytest.raises(RecipeError, match=r"freezing\.last is 7 but the model has 6 blocks"):
        look_at(made(model={"path": path}, freezing={"last": 7}))
    model_folder(model_type="never-heard-of", num_hidden_layers=6)
    assert look_at(made(model={"path": path}, freezing={"gradual": True}, epochs=2)) == []


@pytest.mark.parametrize(
    ("freezing", "is_told"),
    [
        ("head", True),
        ({"preset": "lp_ft"}, True),
        ({"gradual": True}, True),
        ({"schedule": [{"learn": "head", "epochs": 1}, {"learn": "all"}]}, True),
        ({"last": 1}, False),
        ("full", False),
    ],
)
def test_a_head_alone_on_a_mean_pooled_encoder_is_told(freezing: Any, is_told: bool) -> None:
    model = model_folder(model_type="bert", num_hidden_layers=2)
    recipe = made(model={"path": model}, freezing=freezing, epochs=4)
    assert look_at(recipe) == []
    Path(model, "1_Pooling").mkdir()
    Path(model, "1_Pooling", "config.json").write_text('{"pooling_mode_mean_tokens": true}')
    assert ["Set model.pooling to folder" in note for note in look_at(recipe)] == (
        [True] if is_told else []
    )
    assert look_at(made(model={"path": model, "pooling": "folder"}, freezing=freezing)) == []
    Path(model, "1_Pooling", "config.json").write_text('{"pooling_mode_cls_token": true}')
    assert look_at(recipe) == []


def test_a_folder_that_is_asked_how_it_pools_must_say_it() -> None:
    model = model_folder(model_type="bert", num_hidden_layers=2)
    with pytest.raises(RecipeError, match=r"is folder but .* has no 1_Pooling/config\.json"):
        look_at(made(model={"path": model, "pooling": "folder"}))
    assert look_at(made(model={"path": model, "pooling": "mean"})) == []


def test_known_kinds_of_models_have_their_blocks_where_it_says() -> None:
    from transformers import AutoConfig

    for kind, key in BLOCKS.items():
        assert isinstance(AutoConfig.for_model(kind).to_dict()[key], int), kind


def test_a_folder_that_holds_no_model_is_refused() -> None:
    path = model_folder(model_type="bert")
    assert look_at(made(model={"path": path})) == []
    Path("m", "model.safetensors").unlink()
    with pytest.raises(RecipeError, match="has no weights"):
        look_at(made(model={"path": path}))
    assert look_at(made(model={"path": path, "from_scratch": True})) == []
    Path("m", "config.json").write_text("[")
    with pytest.raises(RecipeError, match="is no JSON object"):
        look_at(made(model={"path": path}))
    Path("m", "config.json").unlink()
    Path("m", "inner").mkdir()
    Path("m", "inner", "config.json").write_text("{}")
    with pytest.raises(RecipeError, match=r"has no config.json. Did you mean .*/m/inner\?"):
        look_at(made(model={"path": path}))
    with pytest.raises(RecipeError, match="is a file"):
        look_at(made(model={"path": "./train.csv"}))


def test_a_folder_that_is_not_here_may_be_on_the_cluster(folder: Path) -> None:
    model_folder(model_type="bert")
    recipe = made(model={"path": "./mm"})
    assert look_at(recipe) == []
    near = f"Did you mean {folder}/m?"
    assert missing_model(recipe) == f"model.path ({folder}/mm) is not on this machine. {near}"
    assert str(missing_model(made(model={"path": "./other"}))).endswith("m. Name one of them")
    assert missing_model(made()) is missing_model(made(model={"path": "m"})) is None


def test_nothing_heavy_is_imported() -> None:
    script = """
import sys
from cluster.first_look import look_at
from configs.load import recipe_from
look_at(recipe_from({"name": "x", "model": {"path": "org/m"}, "task": {"kind":
    "text_classification"}, "data": {"train": "train.csv"}}))
print(*sorted({"torch", "transformers", "ray", "deepspeed"} & set(sys.modules)))
"""
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (said.stdout, said.stderr) == ("\n", "")
