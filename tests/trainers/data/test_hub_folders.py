"""Hugging Face's layouts: folders as `save_to_disk` writes them, repositories by file names."""

import json
from pathlib import Path

import pyarrow as pa
import pytest

from configs.errors import DataError
from trainers.data.hub_folders import find_hub_files, find_saved_files, is_saved_folder


def write_saved(folder: Path, rows: pa.Table, classes: tuple[str, ...] = ()) -> Path:
    """Write what `Dataset.save_to_disk` writes: two streams, state.json and dataset_info.json."""
    folder.mkdir(parents=True)
    half = rows.num_rows // 2
    files = [f"data-0000{number}-of-00002.arrow" for number in range(2)]
    for name, part in zip(files, (rows.slice(0, half), rows.slice(half)), strict=True):
        with pa.ipc.new_stream(str(folder / name), rows.schema) as writer:
            writer.write_table(part)
    state = {"_data_files": [{"filename": name} for name in files], "_fingerprint": "x"}
    label = {"names": list(classes), "_type": "ClassLabel"}
    features = {
        "text": {"dtype": "string", "_type": "Value"},
        **({"label": label} if classes else {}),
    }
    (folder / "state.json").write_text(json.dumps(state))
    (folder / "dataset_info.json").write_text(json.dumps({"features": features}))
    return folder


def write_splits(folder: Path, **splits: pa.Table) -> Path:
    for name, rows in splits.items():
        write_saved(folder / name, rows, ("no", "yes"))
    (folder / "dataset_dict.json").write_text(json.dumps({"splits": list(splits)}))
    return folder


ROWS = pa.table({"text": ["a", "b", "c"], "label": [1, 0, 1]})


def test_a_saved_data_set_is_its_arrow_files(tmp_path: Path) -> None:
    folder = str(write_saved(tmp_path / "set", ROWS))
    assert is_saved_folder(folder)
    assert not is_saved_folder(str(tmp_path))
    files = [f"{folder}/data-0000{number}-of-00002.arrow" for number in range(2)]
    assert find_saved_files(folder, "train") == (files, {})


def test_splits_are_folders_and_classes_have_names(tmp_path: Path) -> None:
    folder = str(write_splits(tmp_path / "set", train=ROWS, test=ROWS))
    files, classes = find_saved_files(folder, "test")
    assert files[0] == f"{folder}/test/data-00000-of-00002.arrow"
    assert classes == {"label": ("no", "yes")}
    with pytest.raises(DataError, match=r"has no split dev, only train, test. Set split"):
        find_saved_files(folder, "dev")


def test_classes_in_lists_have_names_too(tmp_path: Path) -> None:
    folder = write_saved(tmp_path / "set", ROWS)
    names = {"names": ["O", "B-PER"], "_type": "ClassLabel"}
    features = {
        "text": {"dtype": "string", "_type": "Value"},
        "tags": {"feature": names, "_type": "Sequence"},
        "more": {"feature": names, "_type": "List"},
        "old": [names],
        "words": {"feature": {"dtype": "string", "_type": "Value"}, "_type": "Sequence"},
    }
    (folder / "dataset_info.json").write_text(json.dumps({"features": features}))
    assert find_saved_files(str(folder), "train")[1] == dict.fromkeys(
        ("tags", "more", "old"), ("O", "B-PER")
    )


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    folder = write_saved(tmp_path / "set", ROWS)
    (folder / "data-00001-of-00002.arrow").unlink()
    with pytest.raises(DataError, match=r"data-00001-of-00002.arrow is missing, though state.json"):
        find_saved_files(str(folder), "train")
    (folder / "state.json").write_text("{")
    with pytest.raises(DataError, match=r"state.json is no JSON"):
        find_saved_files(str(folder), "train")
    (folder / "state.json").write_text(
        json.dumps({"_data_files": [], "_indices_data_files": [{"filename": "i.arrow"}]})
    )
    with pytest.raises(DataError, match=r"flatten_indices"):
        find_saved_files(str(folder), "train")
    (folder / "state.json").write_text("[]")
    with pytest.raises(DataError, match=r"state.json is not what save_to_disk writes. Save"):
        find_saved_files(str(folder), "train")
    (folder / "dataset_dict.json").write_text(json.dumps({"splits": ["train"]}))
    with pytest.raises(DataError, match=r"train/state.json is missing. Copy the folder again"):
        find_saved_files(str(folder), "train")


def test_files_of_a_repository_go_by_the_words_in_their_names(tmp_path: Path) -> None:
    names = ["data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet"]
    others = ["data/dev.jsonl", "constrained.csv", "README.md", "test/rows.csv", "training.json"]
    for name in [*names, *others]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    root = str(tmp_path)
    assert find_hub_files(root, "train") == [f"{root}/{n}" for n in [*names, "training.json"]]
    assert find_hub_files(root, "validation") == [f"{root}/data/dev.jsonl"]
    assert find_hub_files(root, "test") == [f"{root}/test/rows.csv"]
    with pytest.raises(DataError, match=r"no file whose name tells it is oov. .* it has: constr"):
        find_hub_files(root, "oov")
