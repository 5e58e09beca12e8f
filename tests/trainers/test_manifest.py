"""What is a commit, in which order, and what its manifest says."""

from pathlib import Path

import pytest

from configs.errors import CheckpointError
from tests.trainers.commits import made_manifest
from trainers.manifest import (
    Cursor,
    Manifest,
    checkpoint_name,
    list_commits,
    list_leftovers,
    read_manifest,
)


def _write(run_dir: Path, name: str, text: str | None = "{}") -> None:
    folder = run_dir / "checkpoints" / name
    folder.mkdir(parents=True)
    if text is not None:
        (folder / "MANIFEST.json").write_text(text)


def test_of_two_commits_of_a_step_the_higher_claim_is_the_newer(tmp_path: Path) -> None:
    names = [checkpoint_name(10, 9), checkpoint_name(10, 100), checkpoint_name(9, 101)]
    for name in names:
        _write(tmp_path, name)
    assert list_commits(str(tmp_path)) == [names[2], names[0], names[1]]


def test_what_earlier_attempts_left_is_told_from_what_this_one_writes(tmp_path: Path) -> None:
    _write(tmp_path, "step-00000001.a01")
    for name in ("step-00000002.a01", "step-00000003.a02", "frozen.a01", "frozen.a02", "notes"):
        _write(tmp_path, name, None)
    assert list_leftovers(str(tmp_path), 2) == ["frozen.a01", "step-00000002.a01"]


@pytest.mark.parametrize("text", ["", "{", '{"version": 2}', '{"version": 1, "cursor": {}}', "\0"])
def test_a_manifest_that_cannot_be_read_is_damaged(text: str, tmp_path: Path) -> None:
    _write(tmp_path, "step-00000001.a01", text)
    with pytest.raises(CheckpointError, match="is damaged") as caught:
        read_manifest(str(tmp_path), "step-00000001.a01")
    assert "\n" not in str(caught.value)


def test_only_weights_that_were_evaluated_have_a_value() -> None:
    assert made_manifest(7, cursor=Cursor(step=7, value=0.5, value_step=7)).value == 0.5
    assert made_manifest(8, cursor=Cursor(step=8, value=0.5, value_step=7)).value is None


def test_a_manifest_of_an_older_version_of_thaw_is_read() -> None:
    values = made_manifest(3).model_dump(exclude={"fence", "time"})
    values["cursor"] = {"epoch": 1, "step": 3}
    assert Manifest.model_validate(values) == made_manifest(3, cursor=Cursor(epoch=1, step=3))
