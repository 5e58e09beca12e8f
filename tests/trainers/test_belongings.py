"""What is ours goes, what is a person's stays, whatever the folder."""

from pathlib import Path

import pytest

from tests.object_store import ObjectStore
from trainers import storage
from trainers.belongings import (
    COMMIT,
    EXPORT,
    PREPARED,
    RECORDINGS,
    RECORDS,
    RUN,
    WORK,
    delete_ours,
    find_strangers,
)

OURS = {
    COMMIT: ["MANIFEST.json", "rank-00000.safetensors", "rank-00001.json"],
    RUN: [
        "run.json",
        "recipe.yaml",
        "lock/0001",
        "logs/a01/rank-0.log",
        "logs/a01/rank-0.hang.json",
        "logs/evaluate-01/records.jsonl",
        "tensorboard/events.out.tfevents.17.host.1.0",
        "checkpoints/step-00000005.a01/MANIFEST.json",
        "checkpoints/frozen.a01/rank-00000.safetensors",
        ".run.json.0123456789ab.tmp",
        ".predict-mine.02/model.safetensors",
    ],
    EXPORT: ["thaw.json", "model.safetensors", "adapter/adapter_config.json"],
    PREPARED: ["manifest.json", "report.html", "train-00000.arrow"],
    WORK: ["set/train-00000.arrow", "done/clean.json", "groups/1.npy", "tmp/tmpab/rows.arrow"],
    RECORDINGS: ["train-000000000000-000000000100.arrow", ".seal-abc"],
}
THEIRS = ["notes.txt", "logs/a01/notes.txt", "my/run.json.bak", ".hidden", "checkpoints/best.pt"]


def write(folder: Path, names: list[str]) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x")


@pytest.mark.parametrize("ours", OURS)
def test_a_folder_of_ours_goes_and_a_persons_files_stay(tmp_path: Path, ours: object) -> None:
    folder = tmp_path / "folder"
    write(folder, OURS[ours])  # type: ignore[index]  # a key of it
    write(folder, THEIRS)
    (folder / "link").symlink_to(tmp_path)
    (folder / "empty").mkdir()
    assert set(find_strangers(str(folder), ours)) == {*THEIRS, "link"}  # type: ignore[arg-type]  # a pattern
    assert set(delete_ours(str(folder), ours)) == {*THEIRS, "link"}  # type: ignore[arg-type]  # a pattern
    left = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    assert left == set(THEIRS)
    assert (folder / "empty").is_dir()
    assert tmp_path.is_dir()


@pytest.mark.parametrize("ours", OURS)
def test_a_folder_of_ours_alone_goes_whole(tmp_path: Path, ours: object) -> None:
    folder = tmp_path / "folder"
    write(folder, OURS[ours])  # type: ignore[index]  # a key of it
    assert delete_ours(str(folder), ours) == []  # type: ignore[arg-type]  # a pattern
    assert not folder.exists()
    assert delete_ours(str(folder), ours) == []  # type: ignore[arg-type]  # a pattern


def test_a_link_in_the_place_of_a_folder_is_a_persons(tmp_path: Path) -> None:
    write(tmp_path / "real", OURS[COMMIT])
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert delete_ours(str(tmp_path / "link"), COMMIT) == ["."]
    assert len(list((tmp_path / "real").iterdir())) == 3


def test_a_new_try_takes_the_records_alone(tmp_path: Path) -> None:
    write(tmp_path, [*OURS[RUN], "metrics.jsonl"])
    delete_ours(str(tmp_path), RECORDS)
    left = {p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file()}
    assert left == {name for name in OURS[RUN] if not name.startswith(("logs", "tensorboard"))}


def test_a_bucket_keeps_what_is_a_persons(object_store: ObjectStore) -> None:
    bucket = object_store.make_bucket("belongings")
    for name in (*OURS[COMMIT], "notes.txt"):
        storage.write_atomically(f"{bucket}/one/{name}", b"x")
        storage.write_atomically(f"{bucket}/two/{name}", b"x")
    storage.delete(f"{bucket}/two/notes.txt")
    assert delete_ours(f"{bucket}/one", COMMIT) == ["notes.txt"]
    assert storage.list_names(f"{bucket}/one") == ["notes.txt"]
    assert delete_ours(f"{bucket}/two", COMMIT) == []
    assert storage.list_names(f"{bucket}/two") == []
