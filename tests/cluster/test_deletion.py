"""A run goes with what is its own, and nothing else goes."""

from pathlib import Path

import pytest

from cluster import lock, runs
from cluster.deletion import delete_run, find_belongings
from cluster.located import Located, locate_run, remember_run
from configs.errors import LockedError, NotFoundError
from tests.cluster.test_runs import recipe
from tests.trainers.test_belongings import OURS, write
from tests.trainers.test_export_folder import NEW, make
from trainers.belongings import RUN

THEIRS = ["notes.txt", "logs/a01/notes.txt", "checkpoints/best.pt", "export/notes.txt"]


@pytest.fixture
def storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("THAW_HOME", str(tmp_path / "home"))
    return str(tmp_path / "runs")


def make_run(storage: str, name: str = "one", state: str = "succeeded") -> Path:
    made = runs.create_run(storage, recipe(name), f"{name}.01", owner="ada")
    runs.change_state(made, state=state, data_dir=f"{storage}/.prepared/ab")
    folder = Path(storage, name)
    write(folder, [each for each in OURS[RUN] if not (folder / each).exists()])
    make(folder / "export", NEW)
    remember_run(name, Located(storage=storage, address="http://h:1", job_id=f"{name}.01"))
    return folder


def files_below(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_a_run_goes_whole(storage: str) -> None:
    folder = make_run(storage)
    make_run(storage, "two")
    write(Path(storage), [".prepared/ab/manifest.json"])
    before = files_below(folder)
    found = find_belongings(storage, "one")
    assert sum(found.num_bytes.values()) == sum((folder / n).stat().st_size for n in before)
    assert found.num_bytes["export"] == sum(
        path.stat().st_size for path in (folder / "export").rglob("*") if path.is_file()
    )
    assert (found.strangers, found.prepared_for) == ((), ("two",))
    assert files_below(folder) == before
    assert delete_run(storage, "one") == []
    assert not folder.exists()
    assert locate_run("one") is None
    assert locate_run("two") is not None
    assert files_below(Path(storage)) >= {".prepared/ab/manifest.json", "two/run.json"}
    with pytest.raises(NotFoundError):
        delete_run(storage, "one")
    assert runs.create_run(storage, recipe(), "one.02").owner == ""


def test_what_is_a_persons_stays_with_the_folder(storage: str) -> None:
    folder = make_run(storage)
    write(folder, THEIRS)
    (folder / "export" / "card").write_text("corrected")
    theirs = {*THEIRS, "export/card"}
    assert set(find_belongings(storage, "one").strangers) == theirs
    assert set(delete_run(storage, "one")) == theirs
    assert files_below(folder) == theirs
    with pytest.raises(LockedError, match="is not the folder of a run"):
        runs.create_run(storage, recipe(), "one.02")


def test_a_live_run_is_refused_and_one_whose_driver_died_goes(storage: str) -> None:
    folder = make_run(storage, state="running")
    with lock.beating(str(folder), every_s=0.01), pytest.raises(LockedError, match="works on it"):
        delete_run(storage, "one", beat_limit_s=5)
    assert (folder / "run.json").exists()
    assert delete_run(storage, "one", beat_limit_s=0.1) == []


def test_who_is_killed_midway_can_delete_again(storage: str) -> None:
    folder = make_run(storage)
    (folder / "checkpoints" / "step-00000005.a01" / "MANIFEST.json").unlink()
    (folder / "metrics.jsonl").unlink(missing_ok=True)
    assert delete_run(storage, "one") == []
    assert not folder.exists()


def test_a_bookmark_of_another_storage_stays(storage: str) -> None:
    make_run(storage)
    remember_run("one", Located(storage="s3://b", address="http://h:1", job_id="one.07"))
    delete_run(storage, "one")
    assert locate_run("one") is not None
