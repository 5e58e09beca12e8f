"""What is refused before a file of a person's is written over."""

import os
from pathlib import Path

import pytest

from cluster.outputs import (
    export_here,
    has_export,
    refuse_export,
    refuse_no_weights,
    refuse_output,
    write_file,
)
from configs.errors import CheckpointError, LockedError, RecipeError
from tests.trainers.test_export_folder import NEW, content, make


def test_an_output_is_never_the_input(tmp_path: Path) -> None:
    for name in ("a.jsonl", "sub/b.jsonl"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("{}")
    os.link(tmp_path / "a.jsonl", tmp_path / "same.jsonl")
    (tmp_path / "side").symlink_to(tmp_path / "sub")
    for output, source in (
        ("a.jsonl", "a.jsonl"),
        ("same.jsonl", "a.jsonl"),
        ("a.jsonl", "*.jsonl"),
        ("sub/b.jsonl", "**/*.jsonl"),
        ("sub/b.jsonl", "sub"),
        ("side/b.jsonl", "sub"),
    ):
        with pytest.raises(LockedError, match="would be written over the input"):
            refuse_output(str(tmp_path / output), str(tmp_path / source), overwrite=True)
    with pytest.raises(LockedError, match="would be written over the input"):
        refuse_output("s3://b/x.jsonl", "s3://b/x.jsonl", overwrite=True)
    refuse_output(str(tmp_path / "new.jsonl"), str(tmp_path / "*.jsonl"), overwrite=False)
    refuse_output(str(tmp_path / "a.jsonl"), str(tmp_path / "sub"), overwrite=True)


def test_an_output_is_a_plain_file(tmp_path: Path) -> None:
    with pytest.raises(LockedError, match=r"is a folder\. Name a file in it"):
        refuse_output(str(tmp_path), overwrite=True)
    (tmp_path / "kept").write_text("kept")
    (tmp_path / "link").symlink_to(tmp_path / "kept")
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "pipe"):
        with pytest.raises(LockedError, match=r"is there already\. Name another"):
            refuse_output(str(tmp_path / name), overwrite=False)
        with pytest.raises(LockedError, match=rf"{name} is a link or a device, .* Name another"):
            refuse_output(str(tmp_path / name), overwrite=True)
    assert (tmp_path / "kept").read_text() == "kept"


def test_a_file_that_came_in_between_stays(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    write_file(path, "ours", overwrite=False)
    with pytest.raises(LockedError):
        write_file(path, "again", overwrite=False)
    assert path.read_text() == "ours"
    write_file(path, "again", overwrite=True)
    assert path.read_text() == "again"


def test_an_export_is_copied_where_both_are_seen(tmp_path: Path) -> None:
    home = tmp_path / "runs" / "mine"
    assert export_here(str(tmp_path / "runs"), "mine", str(tmp_path / "x"), overwrite=False) is None
    make(home / "export", NEW, step=9)
    assert export_here(str(tmp_path / "runs"), "mine", str(tmp_path / "x"), overwrite=False) == 9
    assert content(tmp_path / "x") == NEW
    assert export_here(str(tmp_path / "runs"), "mine", "s3://b/x", overwrite=False) is None
    with pytest.raises(RecipeError):
        refuse_export(str(tmp_path / "runs"), "mine", str(home / "x"), overwrite=True)


def test_a_run_predicts_with_an_export_or_a_commit(tmp_path: Path) -> None:
    storage, home = str(tmp_path / "runs"), tmp_path / "runs" / "mine"
    (home / "export").mkdir(parents=True)
    half = home / "checkpoints" / "step-00000004.a01"
    half.mkdir(parents=True)
    with pytest.raises(CheckpointError, match="neither an export nor a commit yet, it is failed"):
        refuse_no_weights(storage, "mine", "failed")
    (half / "MANIFEST.json").write_text("{}")
    refuse_no_weights(storage, "mine", "failed")
    assert not has_export(storage, "mine")
    half.joinpath("MANIFEST.json").unlink()
    make(home / "export", NEW)
    refuse_no_weights(storage, "mine", "failed")
    assert has_export(storage, "mine")
