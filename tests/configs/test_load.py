"""Recipes from YAML and `--set`: precedence, paths, every problem at once."""

import os
from pathlib import Path

import pytest

from configs.errors import NotFoundError, RecipeError
from configs.load import (
    load_recipe,
    recipe_difference,
    recipe_from,
    recipe_path,
    recipe_schema,
    recipe_to_yaml,
)

SMALL = """
name: small
model: {path: base}
task: {kind: text_classification}
data: {train: train.csv}
"""


def written(folder: Path, text: str = SMALL) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(text)
    return path


def problems(path: Path, *overrides: str) -> list[str]:
    with pytest.raises(RecipeError) as caught:
        load_recipe(path, overrides)
    assert len(caught.value.args) == 1
    return str(caught.value).splitlines()


def test_precedence_is_default_then_file_then_set(tmp_path):
    path = written(tmp_path, SMALL + "optimizer: {learning_rate: 1e-3}\n")
    assert load_recipe(path).optimizer.weight_decay == 0.0
    assert load_recipe(path).optimizer.learning_rate == 1e-3
    recipe = load_recipe(path, ["optimizer.learning_rate=2e-4", "zero.stage=2"])
    assert (recipe.optimizer.learning_rate, recipe.zero.stage) == (2e-4, 2)


def test_set_takes_yaml_values_and_the_last_one_wins(tmp_path):
    path = written(tmp_path, SMALL + "freezing: full\n")
    recipe = load_recipe(
        path,
        [
            "data.validation=10%",
            "task.labels=[a, b]",
            "freezing.last=2",
            "epochs=1",
            "epochs=2",
            "max_steps=",
        ],
    )
    assert recipe.data.validation == 0.1
    assert recipe.task.labels == ("a", "b")
    assert (recipe.freezing.mode, recipe.freezing.last) == ("partial", 2)
    assert (recipe.epochs, recipe.max_steps) == (2, None)


def test_data_and_model_folders_start_at_the_recipe_and_storage_at_the_current_folder(
    tmp_path, monkeypatch
):
    folder, here = tmp_path / "recipes", tmp_path / "here"
    (folder / "base").mkdir(parents=True)
    here.mkdir()
    monkeypatch.chdir(here)
    path = written(folder, SMALL.replace("train.csv", "[a.csv, s3://bucket/b.csv]"))
    recipe = load_recipe(path, ["data.test=test.csv"])
    assert recipe.data.train == (str(folder / "a.csv"), "s3://bucket/b.csv")
    assert recipe.data.test == str(here / "test.csv")
    assert recipe.model.path == str(folder / "base")
    assert recipe.storage == str(here / "runs")
    assert load_recipe(path, ["model.path=org/model"]).model.path == "org/model"


def test_every_problem_is_reported_at_once_with_line_and_nearest_key(tmp_path):
    text = """name: Bad Name
model: {path: base, dtype: flaot32}
task: {kind: text_clasification, labels: [1, b]}
data: {train: 5, validation: 1.5, tset: y}
freezing: heads
epochs: true
optimizer: {learning_rate: -1, lr: 3}
per_device_train_batch_size: 3
early_stopping: 3
"""
    found = problems(written(tmp_path, text), "zero.stage=9", "nothing", "seed=[")
    expected = [
        "--set 'nothing' names no value. Write it as section.key=value.",
        "--set seed=[: line 1",
        "recipe.yaml, line 1: name: 'Bad Name' is not a run name.",
        "recipe.yaml, line 2: model.dtype: found 'flaot32', allowed is float32 or bfloat16",
        "recipe.yaml, line 3: task.kind: found 'text_clasification', allowed is text_class",
        "recipe.yaml, line 3: task.labels.0: found 1, must be text. Put quotes around it.",
        "recipe.yaml, line 4: data.train: found 5. Give file, glob or list of them",
        "recipe.yaml, line 4: data.validation: found 1.5. Give files, or a share",
        "recipe.yaml, line 4: data.tset is not a key of a recipe. Did you mean data.test?",
        "recipe.yaml, line 5: freezing: found 'heads', allowed is head or full. Did you mean head?",
        "recipe.yaml, line 6: epochs: found true, must be a number.",
        "recipe.yaml, line 7: optimizer.learning_rate: found -1, must be greater than 0.",
        "recipe.yaml, line 7: optimizer.lr is not a key of a recipe. Did you mean optimizer.learn",
        "recipe.yaml, line 8: per_device_train_batch_size is not a key of a recipe. Did you mean "
        "batch.microbatch_size?",
        "recipe.yaml, line 9: early_stopping: found 3, must be a mapping of keys to values.",
        "--set: zero.stage: found 9, allowed is 0 or 1 or 2 or 3.",
    ]
    assert len(found) == len(expected)
    for sentence in expected:
        assert any(line.startswith(sentence) for line in found), (sentence, found)


def test_a_wrong_type_does_not_hide_sections_that_disagree(tmp_path):
    text = SMALL + "epochs: many\nbatch: {lanes: 6}\ncluster: {num_workers: 4}\n"
    assert problems(written(tmp_path, text)) == [
        "recipe.yaml, line 6: epochs: found 'many', must be a whole number.",
        "recipe.yaml: batch.lanes (6) is not a multiple of cluster.num_workers (4). "
        "Use 4 or 8 lanes.",
    ]


def test_a_wrong_value_raises_no_second_problem_about_its_default(tmp_path):
    text = SMALL.replace("train.csv", "train.csv, validation: 1.5") + "early_stopping: {}\n"
    (only,) = problems(written(tmp_path, text))
    assert "data.validation: found 1.5" in only
    text = SMALL + "zero: {stage: 9, offload_optimizer: cpu}\n"
    (only,) = problems(written(tmp_path, text))
    assert "zero.stage: found 9" in only


def test_what_is_missing_is_named_with_what_to_give(tmp_path):
    assert problems(written(tmp_path, "name: x\ndata: {}\n")) == [
        "recipe.yaml: model is missing. Give it: The pre-trained model.",
        "recipe.yaml: task is missing. Give it: What the model learns to do.",
        "recipe.yaml, line 2: data.train is missing. Give it: File, glob or list of them with the "
        "training rows, or a source; local, s3://, gs://, hf://.",
    ]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "a recipe is a mapping of keys to values, found nothing"),
        ("[1]", "a recipe is a mapping of keys to values, found a list"),
        ("name: a\nname: b\n", "line 2: name is already given on line 1. Keep one of the two"),
        ("a: [1\nb: 2", "line 2"),
        ("a: !!python/object:os.system x", "found the tag !!python/object:os.system. Leave"),
    ],
)
def test_text_that_is_no_recipe_is_refused_in_one_sentence(tmp_path, text, sentence):
    (only,) = problems(written(tmp_path, text))
    assert sentence in only


def test_a_recipe_that_is_not_there_is_not_found(tmp_path):
    with pytest.raises(NotFoundError, match=r"There is no recipe .*absent.yaml"):
        load_recipe(tmp_path / "absent.yaml")


def test_infinite_numbers_are_refused(tmp_path):
    (only,) = problems(written(tmp_path), "optimizer.learning_rate=inf")
    assert "must be a finite number" in only


def test_written_out_it_reads_back_as_it_is(tmp_path):
    text = SMALL + "freezing: {train: ['^a: b']}\nzero: {overrides: {fp16: {y: '1e5'}}}\n"
    recipe = load_recipe(written(tmp_path, text), ["data.validation=10%", "task.labels=['no', b]"])
    again = load_recipe(written(tmp_path, recipe_to_yaml(recipe)))
    assert again == recipe
    assert recipe_difference(recipe, again) == {}


def test_rows_and_tokens_of_a_microbatch_exclude_each_other(tmp_path):
    path = written(tmp_path, SMALL + "batch: {microbatch_tokens: 512}\n")
    assert load_recipe(path).batch.microbatch_tokens == 512
    found = problems(path, "batch.microbatch_size=4")
    assert "microbatch_size and microbatch_tokens are both given. Keep one" in found[0]


def test_difference_names_dotted_paths(tmp_path):
    path = written(tmp_path)
    old, new = load_recipe(path), load_recipe(path, ["zero.stage=1", "cluster.env={A: b}"])
    assert recipe_difference(old, new) == {
        "zero.stage": (0, 1),
        "cluster.env": ({}, None),
        "cluster.env.A": (None, "b"),
    }


def test_schema_allows_short_forms_and_describes_every_key():
    schema = recipe_schema()
    assert {"enum": ["head", "full"]} in schema["properties"]["freezing"]["anyOf"]
    assert schema["required"] == ["name", "model", "task", "data"]
    assert all("description" in x or "$ref" in x for x in schema["properties"].values())


def test_plain_values_make_a_recipe(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    value = {
        "name": "x",
        "model": {"path": "org/model"},
        "task": {"kind": "text_classification"},
        "data": {"train": "a.csv"},
    }
    assert recipe_from(value).data.train == str(tmp_path / "a.csv")
    with pytest.raises(RecipeError, match="epochs: found 0, must be at least 1"):
        recipe_from({**value, "epochs": 0})


@pytest.mark.parametrize("path", sorted(Path("configs/recipes").glob("*.yaml")), ids=str)
def test_shipped_recipes_load_and_begin_with_their_command(path):
    assert path.read_text().startswith(f"# thaw submit {path.name}")
    recipe = load_recipe(path)
    assert recipe.name == path.stem
    # As a job and a run directory hold it.
    assert recipe_from(recipe.model_dump(mode="json")) == recipe


def test_a_recipe_without_end_is_read_up_to_the_limit(tmp_path):
    assert problems(Path("/dev/zero")) == ["/dev/zero is a device. Give the path of a YAML file."]
    with open("/dev/zero", "rb") as endless:
        path = f"/dev/fd/{endless.fileno()}"
        assert problems(Path(path)) == [
            f"{path} is larger than 1,048,576 bytes. Give the YAML file of a recipe."
        ]


def test_a_named_pipe_that_nobody_writes_to_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    for name in ("pipe", "link"):
        path = tmp_path / name
        assert problems(path) == [f"{path} is a named pipe. Give the path of a YAML file."]


def test_what_is_no_path_of_a_recipe(tmp_path):
    assert recipe_path("a/b.yaml") == Path("a/b.yaml")
    for given, said in (("", "is empty"), ("s3://bucket/r.yaml", "s3://bucket/r.yaml is an addr")):
        with pytest.raises(RecipeError, match=said):
            recipe_path(given)
    with pytest.raises(RecipeError, match=r"is no path\. Give the path of a YAML"):
        load_recipe(Path("a\0b"))


def test_a_recipe_may_come_through_a_pipe(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    receiver, sender = os.pipe()
    os.write(sender, SMALL.encode())
    os.close(sender)
    recipe = load_recipe(Path(f"/dev/fd/{receiver}"))
    os.close(receiver)
    # It has no folder, so its paths start at the current one.
    assert (recipe.name, recipe.data.train) == ("small", str(tmp_path / "train.csv"))


def test_thousands_of_unknown_keys_are_one_sentence(tmp_path):
    text = SMALL + "".join(f"k{number}: 1\n" for number in range(10_000))
    (found,) = problems(written(tmp_path, text))
    assert "more than 1,000 keys" in found


@pytest.mark.parametrize("model", ["m/none", "./none", "../none", "a/b/c", "recipe.yaml"])
def test_a_model_that_looks_like_a_folder_is_one_though_it_is_not_there(tmp_path, model):
    (tmp_path / "m" / "bert").mkdir(parents=True)
    (tmp_path / "m" / "bert" / "config.json").write_text("{}")
    recipe = load_recipe(written(tmp_path, SMALL.replace("base", model)))
    assert recipe.model.path == os.path.normpath(tmp_path / model) and recipe.model.is_folder


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("s3://bucket/model", "Copy the model to a folder"),
        ("hf://org/name", "give its id such as org/name"),
        ("~nobody-at-all/m", "nobody's home"),
    ],
)
def test_a_model_at_no_address_is_refused(tmp_path, model, said):
    with pytest.raises(RecipeError, match=said):
        load_recipe(written(tmp_path, SMALL.replace("base", model)))


def test_a_model_of_the_hub_or_of_the_cluster_is_left_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "org").mkdir()
    for model in ("org/name", "gpt2", "/seen/by/the/cluster"):
        path = written(tmp_path, SMALL.replace("base", model))
        assert load_recipe(path).model.path == model
    path = written(tmp_path, SMALL.replace("base", "~/m"))
    assert load_recipe(path).model.path == f"{tmp_path}/m"


@pytest.mark.parametrize(
    ("given", "override", "expected"),
    [
        ("head", "prefix_cache=off", ("head", None, "off")),
        ("head", "last=2", ("partial", 2, "auto")),
        ("full", "prefix_cache_gib=3", ("full", None, "auto")),
        ("{last: 1}", "prefix_cache=on", ("partial", 1, "on")),
    ],
)
def test_set_adds_to_a_section_that_is_written_short(tmp_path, given, override, expected):
    path = written(tmp_path, SMALL + f"freezing: {given}\n")
    freezing = load_recipe(path, [f"freezing.{override}"]).freezing
    assert (freezing.mode, freezing.last, freezing.prefix_cache) == expected


def test_set_adds_to_a_path_and_to_a_method_that_are_written_short(tmp_path):
    path = written(tmp_path, SMALL + "balance: focal\n")
    recipe = load_recipe(path, ["balance.gamma=3", "data.train.encoding=cp1252"])
    assert (recipe.balance.method, recipe.balance.gamma) == ("focal", 3.0)
    assert recipe.data.train.encoding == "cp1252" and recipe.data.train.path


@pytest.mark.parametrize(
    ("more", "override", "place"),
    [
        ("epochs: 3\n", "epochs.x=1", "epochs"),
        ("zero: {stage: 2}\n", "zero.stage.x=1", "zero.stage"),
        ("seed: [1]\n", "seed.x.y=1", "seed"),
    ],
)
def test_set_does_not_replace_what_has_no_keys(tmp_path, more, override, place):
    found = problems(written(tmp_path, SMALL + more), override)
    told = f"--set {override}: what stands in {place} is no mapping of keys to values."
    assert any(line.startswith(told) for line in found), found
