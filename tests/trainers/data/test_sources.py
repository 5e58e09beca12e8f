"""Sources: which files a recipe means, and what is said when there are none."""

import os
from pathlib import Path

import pyarrow as pa
import pytest

from configs.data_sections import Data
from configs.errors import DataError
from configs.model_sections import Model
from configs.source_sections import SourceEntry
from tests.trainers.data.test_hub_folders import write_splits
from trainers.data.sources import Source, hash_source, list_sources, local_copy, tokenizer_key


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)


def found(folder: Path, *patterns: str, **data: object) -> list[str]:
    asked = tuple(str(folder / pattern) for pattern in patterns)
    sources = list_sources(Data.model_validate({"train": asked, **data}))
    return [str(Path(source.address).relative_to(folder)) for source in sources]


def test_paths_and_globs_are_expanded_in_order_and_once(tmp_path: Path) -> None:
    touch(tmp_path, "b.csv", "a.csv", "sub/c.csv", "sub/deep/d.csv", "x.json")
    assert found(tmp_path, "b.csv", "*.csv") == ["b.csv", "a.csv"]
    assert found(tmp_path, "**/*.csv") == ["a.csv", "b.csv", "sub/c.csv", "sub/deep/d.csv"]


def test_a_file_whose_name_looks_like_a_glob_is_taken_as_it_is(tmp_path: Path) -> None:
    touch(tmp_path, "rows[1].csv", "rows1.csv")
    assert found(tmp_path, "rows[1].csv") == ["rows[1].csv"]


def test_formats_go_by_name_or_by_what_is_asked(tmp_path: Path) -> None:
    names = ["a.csv", "a.tsv.gz", "a.json", "a.jsonl.zst", "a.ndjson.gz", "a.parquet", "a.arrow"]
    touch(tmp_path, *names, "a.txt")
    asked = tuple(str(tmp_path / name) for name in names)
    formats = [source.format for source in list_sources(Data(train=asked))]
    assert formats == ["csv", "tsv", "json", "jsonl", "jsonl", "parquet", "arrow"]
    with pytest.raises(
        DataError, match=r"a.txt: its name does not tell its format. Set data.format"
    ):
        found(tmp_path, "a.txt")
    assert found(tmp_path, "a.txt", format="csv") == ["a.txt"]
    with pytest.raises(DataError, match=r"a.csv is a file, and hf is for folders of save_to_disk"):
        found(tmp_path, "a.csv", format="hf")


def test_splits_given_as_files_are_sources_and_shares_are_not(tmp_path: Path) -> None:
    touch(tmp_path, "a.csv", "t.csv")
    data = Data(train=str(tmp_path / "a.csv"), validation="10%", test=str(tmp_path / "t.csv"))
    assert [source.split for source in list_sources(data)] == ["train", "test"]


def test_what_finds_nothing_is_named_with_what_is_near(tmp_path: Path) -> None:
    touch(tmp_path, "train.csv")
    with pytest.raises(
        DataError,
        match=r"data.train: .*trian.csv does not exist. Check the path; near it: train.csv",
    ):
        found(tmp_path, "trian.csv")
    with pytest.raises(DataError, match=r"data.train: .*\*.parquet matches no file"):
        found(tmp_path, "*.parquet")
    with pytest.raises(DataError, match=r"data.train: .* is a folder that has neither"):
        found(tmp_path, "")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match=r"data.train: .*pipe is a device or a pipe. Name a file"):
        found(tmp_path, "pipe")


def test_a_hash_is_of_the_bytes_alone(tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("text,label\n")
    sources = [
        Source(split="train", address=str(tmp_path / n), format="csv") for n in ("a.csv", "b.csv")
    ]
    first, second = map(hash_source, sources)
    assert first.hash == second.hash != ""
    assert first.num_bytes == 11
    with local_copy(first.address) as path:
        assert path == tmp_path / "a.csv"


def test_a_file_that_gives_no_bytes_is_named() -> None:
    source = Source(split="train", address="/proc/self/mem", format="csv")
    with pytest.raises(DataError, match=r"self/mem cannot be read: Input/output error. Check"):
        hash_source(source)


def test_a_tokenizer_is_known_by_its_files_not_by_the_weights(tmp_path: Path) -> None:
    touch(tmp_path, "tokenizer.json", "config.json", "model.safetensors", "README.md")
    model = Model(path=str(tmp_path))
    before = tokenizer_key(model)
    touch(tmp_path, "model.bin")
    assert tokenizer_key(model) == before
    (tmp_path / "tokenizer.json").write_text("other")
    assert tokenizer_key(model) != before
    before = tokenizer_key(model)
    touch(tmp_path, "preprocessor_config.json")
    assert tokenizer_key(model) != before
    assert tokenizer_key(Model(path="org/name", revision="v1")) == "org/name@v1"


def test_entries_bring_their_options_and_their_names(tmp_path: Path) -> None:
    touch(tmp_path, "a.csv", "b.csv", "c.data", "d.txt", "e.txt")
    entries = [
        {"path": [f"{tmp_path}/a.csv", f"{tmp_path}/[ab].csv"], "name": "news", "weight": 2},
        {"path": f"{tmp_path}/c.data", "format": "jsonl", "max_rows": 5, "columns": {"text": "q"}},
        {"path": f"{tmp_path}/d.txt", "pair": f"{tmp_path}/e.txt", "encoding": "cp1252"},
        {"path": "sqlite:///x.db", "query": "SELECT 1"},
        f"{tmp_path}/a.csv",
    ]
    sources = list_sources(Data.model_validate({"train": entries}))
    assert [(each.name, each.format) for each in sources] == [
        ("news", "csv"),
        ("news", "csv"),
        ("source-2", "jsonl"),
        ("unnamed", "text"),
        ("unnamed", "sql"),
        ("unnamed", "csv"),
    ]
    assert (sources[0].weight, sources[2].max_rows, sources[2].columns) == (2, 5, {"text": "q"})
    assert hash_source(sources[3]).num_bytes == 10
    with pytest.raises(DataError, match=r"data.train: .*f.txt is not one file. Name one"):
        list_sources(
            Data(train=SourceEntry(path=f"{tmp_path}/d.txt", pair=f"{tmp_path}/f.txt")),
        )


def test_folders_of_images_and_saved_data_sets_are_known(tmp_path: Path) -> None:
    rows = pa.table({"text": ["a", "b"], "label": [0, 1]})
    write_splits(tmp_path / "saved", train=rows, validation=rows)
    folder = str(tmp_path / "saved")
    data = Data(train=folder, validation=folder, test=SourceEntry(path=folder, split="train"))
    sources = list_sources(data)
    assert [each.split for each in sources][::2] == ["train", "validation", "test"]
    assert sources[0].classes == {"label": ("no", "yes")}
    assert sources[0].address == sources[4].address
    touch(tmp_path, "images/cat/1.png", "images/dog/1.jpg")
    images = list_sources(Data(train=f"{tmp_path}/images"))
    assert [each.address for each in images] == [f"{tmp_path}/images/{c}" for c in ("cat", "dog")]


def test_a_password_is_not_shown() -> None:
    entry = SourceEntry(path="mysql://me:secret@host/x", query="SELECT 1")
    source = list_sources(Data(train=entry))[0]
    assert source.shown == "mysql://me:***@host/x"
    assert "secret" not in source.content
