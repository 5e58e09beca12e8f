"""Nobody gets in: nothing is unpickled from storage, and nothing of a person's meets a shell."""

import ast
import pickle
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file

from configs.errors import DataError, RecipeError, StorageError
from configs.model_sections import Model
from configs.yaml_text import YamlError, read_yaml
from tests.recipes import tiny_recipe
from tests.source_tree import ROOMS, Source, sources
from tests.tiny import make_model_folder
from trainers.data.arrow_files import read_batches
from trainers.data.preparation import prepare
from trainers.export import EXPORT_FILE, Export, load_exported
from trainers.tasks.pretrained import Head, build_pretrained

MAY_IMPORT = {
    ("cluster/spread.py", "pickle"): "moves work between processes of one job, never from a file",
    ("trainers/tasks/pretrained.py", "pickle"): "names the error of a refused file",
    ("cluster/secrets.py", "subprocess"): "starts our own filter, by a list of words",
    ("cluster/machine_facts.py", "subprocess"): "asks nvidia-smi, by a list of words",
    ("cluster/nodes.py", "subprocess"): "starts Ray, by a list of words",
    ("launcher/boards.py", "subprocess"): "starts TensorBoard, by a list of words",
}
"""Modules that can run code or a shell, with the reason why a file may import them."""
DANGEROUS = ("pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve", "subprocess", "pty")
CALLS = ("eval", "exec", "os.system", "os.popen", "torch.load", "commands.getoutput", "yaml.load")
KEYWORDS = {"shell": True, "allow_pickle": True, "weights_only": False}


def calls_of(source: Source) -> list[ast.Call]:
    return [node for node in ast.walk(source.tree) if isinstance(node, ast.Call)]


def test_nothing_that_runs_code_is_called() -> None:
    problems, used = [], set()
    for source in sources(*ROOMS):
        for line, name in source.imports():
            place = (source.path, name.split(".")[0])
            used.add(place)
            if place[1] in DANGEROUS and place not in MAY_IMPORT:
                problems.append(f"{source.path}:{line} imports {name}")
        for call in calls_of(source):
            if ast.unparse(call.func) in CALLS:
                problems.append(f"{source.path}:{call.lineno} {ast.unparse(call.func)}")
            for word in call.keywords:
                value = word.value.value if isinstance(word.value, ast.Constant) else None
                if word.arg in KEYWORDS and value is KEYWORDS[word.arg]:
                    problems.append(f"{source.path}:{call.lineno} {word.arg}={value}")
    assert not problems, "\n".join(problems)
    assert set(MAY_IMPORT) <= used


def test_what_is_unpickled_came_from_the_same_job() -> None:
    found = {
        f"{source.path}: {ast.unparse(call)}"
        for source in sources(*ROOMS)
        for call in calls_of(source)
        if ast.unparse(call.func).startswith("pickle.load")
    }
    assert found == {
        "cluster/spread.py: pickle.loads(row['item'])",
        "cluster/spread.py: pickle.loads(row['made'])",
    }


class Bomb:
    """Makes a folder as soon as it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return (Path.mkdir, (self.mark,))


@pytest.fixture
def bomb(tmp_path: Path) -> Bomb:
    made = Bomb(tmp_path / "it-ran")
    pickle.loads(pickle.dumps(Bomb(tmp_path / "works")))
    assert (tmp_path / "works").exists()
    return made


def plant(folder: Path, bomb: Bomb) -> None:
    """Lay the bomb under every name that a library of the field would unpickle."""
    names = ("pytorch_model.bin", "training_args.bin", "optimizer.pt", "scheduler.pt", "latest",
             "rng_state.pth", "mp_rank_00_model_states.pt", "adapter_model.bin", "state.pkl",
             "tokenizer.pkl", "index.npy", "dataset.pkl")  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        if name.endswith((".bin", ".pt", ".pth")):
            torch.save({"weight": bomb}, folder / name)
        else:
            (folder / name).write_bytes(pickle.dumps(bomb))


def build(folder: Path) -> Any:
    head = Head(("a", "b", "c"))
    return build_pretrained("AutoModelForSequenceClassification", Model(path=str(folder)), head)[0]


def test_safetensors_are_taken_where_a_pickle_lies_beside_them(tmp_path: Path, bomb: Bomb) -> None:
    folder = make_model_folder(tmp_path / "model")
    plant(folder, bomb)
    model = build(folder)
    stored = load_file(folder / "model.safetensors")
    name = "embeddings.word_embeddings.weight"
    assert model.state_dict()[f"bert.{name}"].equal(stored[name])
    assert not bomb.mark.exists()


def test_model_that_has_a_pickle_alone_gives_tensors_or_is_refused(
    tmp_path: Path, bomb: Bomb
) -> None:
    folder = make_model_folder(tmp_path / "model")
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(weights, folder / "pytorch_model.bin")
    name = "embeddings.word_embeddings.weight"
    assert build(folder).state_dict()[f"bert.{name}"].equal(weights[name])
    torch.save(weights | {"more": bomb}, folder / "pytorch_model.bin")
    with pytest.raises(RecipeError, match=r"holds more than tensors.*Save the model as safetens"):
        build(folder)
    assert not bomb.mark.exists()


def test_export_without_safetensors_is_refused(tmp_path: Path, bomb: Bomb) -> None:
    recipe = tiny_recipe(tmp_path)
    folder = make_model_folder(tmp_path / "export", num_labels=3)
    (folder / "model.safetensors").unlink()
    plant(folder, bomb)
    export = Export(task=recipe.task, label_names=("a", "b", "c"), max_length=32)
    (folder / EXPORT_FILE).write_text(export.model_dump_json())
    with pytest.raises(StorageError, match=r"holds no model\.safetensors"):
        load_exported(folder)
    assert not bomb.mark.exists()


def test_prepared_set_and_run_with_pickles_in_them_are_read_past_them(
    tmp_path: Path, bomb: Bomb
) -> None:
    recipe = tiny_recipe(tmp_path)
    made = Path(prepare(recipe, recipe.storage).data_dir)
    for folder in (made, made.parent, Path(recipe.storage, "tiny", "checkpoints", "latest")):
        plant(folder, bomb)
    assert prepare(recipe, recipe.storage).cached
    assert not bomb.mark.exists()


@pytest.mark.parametrize("kind", ["parquet", "arrow"])
def test_column_of_pickled_objects_is_refused(tmp_path: Path, bomb: Bomb, kind: str) -> None:
    import ray.data  # noqa: F401 - registers the type whose values are unpickled

    metadata = {"ARROW:extension:name": "ray.data.arrow_pickled_object",
                "ARROW:extension:metadata": ""}  # fmt: skip
    field = pa.field("text", pa.large_binary(), metadata=metadata)
    table = pa.table([[pickle.dumps(bomb)]], schema=pa.schema([field]))
    path = tmp_path / f"rows.{kind}"
    if kind == "parquet":
        pq.write_table(table, path)
    else:
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
    with pytest.raises(DataError, match="column text holds pickled Python objects"):
        [batch.to_pylist() for batch in read_batches(path, str(path), kind)]
    assert not bomb.mark.exists()


def test_archive_that_unpacks_elsewhere_is_no_data(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../../evil", "x")
    with pytest.raises(DataError, match="cannot be read as parquet"):
        [*read_batches(path, str(path), "parquet")]


LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n"
    for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (LAUGHS, "aliases make the document too large"),
        ("x: [" + ", ".join(["&a 1"] + ["*a"] * 200) + "]", "more than 100 aliases"),
        ("[" * 100 + "]" * 100, "nested more than 32 levels"),
        ("x: " + "y" * 2**21, "at most 1,048,576 are read"),
        ("a: &a {b: *a}", "aliases make the document too large"),
        ("!!python/object/apply:os.system ['touch it-ran']", "python/object"),
        ("x: !!python/name:os.system", "python/name"),
    ],
)
def test_yaml_is_safe_and_bound_in_one_sentence(text: str, words: str) -> None:
    with pytest.raises(YamlError) as told:
        read_yaml(text)
    assert words in str(told.value)
    assert "\n" not in str(told.value) and len(str(told.value)) < 300
