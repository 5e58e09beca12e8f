"""Listing: the same globs on a disk, in memory and on a real S3 server."""

from pathlib import Path

import pytest

from configs.errors import DataError, StorageError
from tests.object_store import ObjectStore
from trainers import storage
from trainers.data.sources import local_copy
from trainers.listing import (
    Found,
    file_name,
    find_files,
    is_folder,
    is_glob,
    list_files,
    list_folders,
)

NAMES = ["a.csv", "b.csv", "x.json", "sub/c.csv", "sub/deep/d.csv", "sub/.hidden"]


def fill(root: str) -> None:
    for name in NAMES:
        storage.write_atomically(storage.join(root, name), name.encode())


def found(root: str, pattern: str) -> list[str]:
    return [each.removeprefix(f"{root}/") for each in find_files(f"{root}/{pattern}")]


def check_folder(root: str) -> None:
    fill(root)
    assert found(root, "a.csv") == ["a.csv"]
    assert found(root, "*.csv") == ["a.csv", "b.csv"]
    assert found(root, "[!b].csv") == ["a.csv"]
    assert found(root, "*/*.csv") == ["sub/c.csv"]
    assert found(root, "**/*.csv") == ["a.csv", "b.csv", "sub/c.csv", "sub/deep/d.csv"]
    assert found(root, "s*/**/*.csv") == ["sub/c.csv", "sub/deep/d.csv"]
    assert found(root, "absent.csv") == found(root, "*.tsv") == found(root, "sub") == []
    assert (is_folder(f"{root}/sub"), is_folder(f"{root}/a.csv")) == (True, False)
    files = [Found(f"{root}/{name}", len(name)) for name in ("sub/c.csv", "sub/deep/d.csv")]
    assert list_files(f"{root}/sub") == files
    assert list_folders(root) == [f"{root}/sub"]


def test_a_folder_on_a_disk(tmp_path: Path) -> None:
    check_folder(str(tmp_path))


def test_a_folder_of_another_filesystem() -> None:
    check_folder("fsspec+memory://listing")


def test_a_bucket(object_store: ObjectStore) -> None:
    check_folder(object_store.make_bucket("listing"))


def test_what_is_not_in_a_store_is_one_sentence(object_store: ObjectStore) -> None:
    root = object_store.make_bucket("things")
    assert find_files(f"{root}/absent.csv") == find_files(f"{root}/*.csv") == []
    assert find_files("s3://no-such-bucket/a.csv") == find_files("s3://no-such-bucket/*.csv") == []
    absent = f"{root}/absent.csv"
    with pytest.raises(DataError, match=r"absent.csv does not exist. Check the address"):
        local_copy(absent).__enter__()


def test_a_store_that_does_not_answer_is_named() -> None:
    address = "s3://b/a.csv?endpoint_override=127.0.0.1:9&scheme=http&region=x"
    with pytest.raises(StorageError, match=r"a\.csv.* cannot be looked at: .*\. See whether this"):
        find_files(address)
    with pytest.raises(StorageError, match=r"s3://b.* cannot be listed: .*\. See whether this"):
        find_files(address.replace("a.csv", "*.csv"))


def test_options_of_an_address_are_no_part_of_its_name() -> None:
    assert file_name("s3://bucket/a/rows.csv?region=eu") == "rows.csv"
    assert not is_glob("s3://bucket/rows.csv?region=eu")
    assert is_glob("s3://bucket/*.csv")
    assert is_glob("rows?.csv")
