"""Run directories on this machine's disk."""

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cluster import lock, runs
from configs.errors import LockedError, NotFoundError, RecipeError, StorageError
from configs.records import Ended, Note
from configs.schema import Recipe
from trainers import storage as files


@pytest.fixture
def storage(tmp_path: Path) -> str:
    return str(tmp_path / "runs")


def recipe(name: str = "one", workers: int = 1) -> Recipe:
    return Recipe.model_validate(
        {
            "name": name,
            "model": {"path": "some/model"},
            "task": {"kind": "text_classification"},
            "data": {"train": "/data/train.csv"},
            "cluster": {"num_workers": workers},
        }
    )


def note(text: str) -> Note:
    return Note(time=1.0, level="info", text=text)


def ended() -> Ended:
    return Ended(
        time=2.0,
        state="succeeded",
        exit_code=0,
        error=None,
        message="done",
        step=1,
        metrics={},
        rows=1,
    )


def write(storage: str, *records: Note | Ended) -> None:
    for record in records:
        files.append_lines(f"{storage}/one/metrics.jsonl", [record.model_dump_json()])


def test_a_folder_that_was_never_a_runs_is_refused(storage: str) -> None:
    notes = Path(storage, "one", "logs", "notes.txt")
    notes.parent.mkdir(parents=True)
    notes.write_text("theirs")
    with pytest.raises(LockedError, match="exists and is not the folder of a run: it holds logs"):
        runs.create_run(storage, recipe(), "one.01")
    assert [path.name for path in Path(storage, "one").iterdir()] == ["logs"]
    assert notes.read_text() == "theirs"


def test_a_name_that_is_free_again_keeps_what_a_person_put_there(storage: str) -> None:
    state = runs.create_run(storage, recipe(), "one.01")
    runs.change_state(state, state="failed")
    write(storage, note("of the first"))
    for name in ("notes.txt", "logs/a01/notes.txt", "logs/a01/rank-0.log"):
        Path(storage, "one", name).parent.mkdir(parents=True, exist_ok=True)
        Path(storage, "one", name).write_text("x")
    runs.create_run(storage, recipe(), "one.02")
    assert [*runs.read_records(storage, "one")] == []
    assert Path(storage, "one", "notes.txt").exists()
    assert [path.name for path in Path(storage, "one", "logs", "a01").iterdir()] == ["notes.txt"]


def test_created_run_can_be_read(storage: str) -> None:
    state = runs.create_run(storage, recipe(), "one.01")
    assert runs.read_run(storage, "one") == state
    assert (state.state, state.job_ids) == ("queued", ("one.01",))
    again = runs.read_run_recipe(storage, "one")
    assert again.model_copy(update={"storage": recipe().storage}) == recipe()
    assert runs.list_runs(storage) == [state]


def test_who_claimed_a_name_and_died_before_it_wrote_does_not_hold_it(storage: str) -> None:
    folder = runs.run_directory(storage, "one")
    lock.claim(folder, 1, "one.01")
    assert runs.create_run(storage, recipe(), "one.02", beat_limit_s=0.1).claim == 2
    lock.claim(folder, 3, "one.03")
    assert runs.take_over_run(storage, recipe(), "one.04", beat_limit_s=0.1).claim == 4


def test_name_is_taken_once(storage: str) -> None:
    runs.create_run(storage, recipe(), "one.01")
    with pytest.raises(LockedError, match="name one is taken"):
        runs.create_run(storage, recipe(), "one.02")


@pytest.mark.parametrize("committed", [False, True])
def test_name_is_free_again_when_nothing_was_committed(storage: str, committed: bool) -> None:
    state = runs.create_run(storage, recipe(), "one.01")
    write(storage, note("old"))
    runs.change_state(state, state="failed")
    if committed:
        Path(storage, "one", "checkpoints", "step-00000003.a01").mkdir(parents=True)
        with pytest.raises(LockedError):
            runs.create_run(storage, recipe(), "one.02")
        return
    assert runs.create_run(storage, recipe(), "one.02").state == "queued"
    assert not [*runs.read_records(storage, "one")]


def test_one_of_many_gets_the_name(storage: str) -> None:
    won, lost = [], []

    def try_once(number: int) -> None:
        try:
            won.append(runs.create_run(storage, recipe(), f"one.{number:02d}"))
        except LockedError:
            lost.append(number)

    threads = [threading.Thread(target=try_once, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(won), len(lost)) == (1, 7)


def test_unwritable_storage_says_so(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file")
    with pytest.raises(StorageError):
        runs.create_run(str(tmp_path / "runs"), recipe(), "one.01")


def test_run_that_ended_is_taken_over_with_other_machines(storage: str) -> None:
    state = runs.create_run(storage, recipe(), "one.01")
    runs.change_state(state, state="stopped", exit_code=143, attempts=1)
    runs.request_stop(storage, "one")
    state = runs.take_over_run(storage, recipe(workers=2), "one.02")
    assert (state.state, state.attempts, state.exit_code) == ("queued", 1, None)
    assert state.job_ids == ("one.01", "one.02")
    assert runs.read_run_recipe(storage, "one").cluster.num_workers == 2
    assert not runs.stop_requested(storage, "one")


def test_run_whose_driver_is_alive_is_not_taken_over(storage: str) -> None:
    runs.create_run(storage, recipe(), "one.01")
    alive = lock.beating(runs.run_directory(storage, "one"), every_s=0.05)
    with alive, pytest.raises(LockedError, match=r"job one\.01 works on it"):
        runs.take_over_run(storage, recipe(), "one.02")


def test_run_whose_driver_died_is_taken_over(storage: str) -> None:
    runs.create_run(storage, recipe(), "one.01")
    lock.beat(runs.run_directory(storage, "one"))
    state = runs.take_over_run(storage, recipe(), "one.02", beat_limit_s=0.2)
    assert state.state == "queued"


def test_run_of_other_packages_goes_on_only_if_that_is_allowed(storage: str) -> None:
    state = runs.create_run(storage, recipe(), "one.01")
    assert "torch" in state.packages
    older = {**state.packages, "torch": "1.0"}
    runs.change_state(state, state="stopped", packages=older)
    with pytest.raises(RecipeError, match=r"torch 1\.0, now .* or accept .* --allow-change"):
        runs.take_over_run(storage, recipe(), "one.02")
    assert runs.read_run(storage, "one").state == "stopped"  # nothing was taken
    taken = runs.take_over_run(storage, recipe(), "one.02", allow_change=True)
    assert (taken.state, taken.packages) == ("queued", state.packages)


def test_unknown_run_is_not_found(storage: str) -> None:
    calls: list[Callable[[], object]] = [
        lambda: runs.read_run(storage, "none"),
        lambda: runs.request_stop(storage, "none"),
        lambda: runs.take_over_run(storage, recipe("none"), "none.01"),
    ]
    for call in calls:
        with pytest.raises(NotFoundError, match="no run none"):
            call()


def test_damaged_state_says_so(storage: str) -> None:
    runs.create_run(storage, recipe(), "one.01")
    Path(storage, "one", "run.json").write_text("{")
    with pytest.raises(StorageError, match="no state of a run"):
        runs.read_run(storage, "one")
    runs.create_run(storage, recipe("two"), "two.01")
    one, two = runs.list_runs(storage)
    assert (one.name, one.state) == ("one", "failed")
    assert "no state of a run" in one.message
    assert two.state == "queued"


def test_line_that_is_being_written_is_left_out(storage: str) -> None:
    runs.create_run(storage, recipe(), "one.01")
    write(storage, note("whole"))
    with Path(storage, "one", "metrics.jsonl").open("a") as stream:
        stream.write('{"v":1,"kind":"no')
    assert [*runs.read_records(storage, "one")] == [note("whole")]


def test_newest_commit_is_the_newest_with_a_manifest(storage: str) -> None:
    assert runs.newest_commit_step(storage, "one") is None
    for name, whole in (("step-00000009.a01", True), ("step-00000012.a02", False)):
        folder = Path(storage, "one", "checkpoints", name)
        folder.mkdir(parents=True)
        if whole:
            (folder / "MANIFEST.json").write_text("{}")
    assert runs.newest_commit_step(storage, "one") == 9


def test_log_files_have_short_names(storage: str) -> None:
    for name in ("a02/rank-0.log", "a01/rank-1.log", "a01/rank-1.json"):
        path = Path(storage, "one", "logs", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert [*runs.log_files(storage, "one")] == ["a01/rank-1", "a02/rank-0"]


def test_damaged_records_are_passed_over_and_told_in_one_note(storage: str) -> None:
    runs.create_run(storage, recipe(), "one.01")
    path = Path(storage, "one", "metrics.jsonl")
    odd = note("a label with \u2028, \u2029 and \x85 in it")
    lines = [note("first").model_dump_json(), '{"garbage', odd.model_dump_json(), "\0" * 9]
    path.write_bytes("".join(f"{line}\n" for line in lines).encode() + b"half a li")
    told, *others = runs.read_records(storage, "one")
    assert others == [note("first"), odd]
    assert isinstance(told, Note)
    assert (told.level, told.event) == ("warning", "damaged_lines")
    assert told.text == f"{path}: 2 lines are damaged and passed over. What they said is lost"
    path.write_bytes(b"\xff" * 100 + b"\n")
    (told,) = runs.read_records(storage, "one")
    assert "1 line is damaged" in told.text


def test_a_storage_that_is_not_there_is_told_from_one_without_runs(tmp_path: Path) -> None:
    assert runs.list_runs(str(tmp_path)) == []
    with pytest.raises(NotFoundError, match=r"There is no folder .*/none"):
        runs.list_runs(str(tmp_path / "none"))


def test_a_driver_is_silent_since_its_last_beat(storage: str) -> None:
    state = runs.create_run(storage, recipe(), "one.01")
    state = state.model_copy(update={"updated": state.updated - 100})
    assert 100 <= runs.silent_s(storage, state) < 110
    lock.beat(str(Path(storage, "one")))
    assert runs.silent_s(storage, state) < 10


def test_only_new_beats_of_a_driver_are_signs_of_life(storage: str) -> None:
    state = runs.create_run(storage, recipe(), "one.01")
    folder = runs.run_directory(storage, "one")
    lock.beat(folder)  # the last one before its machine was lost
    assert not runs.shows_life(storage, state, limit_s=0.7)
    last = threading.Timer(0.5, lock.beat, [folder])  # of a driver that is just being ended
    last.start()
    assert not runs.shows_life(storage, state, limit_s=2.0)
    last.join()
    with lock.beating(folder, every_s=0.05):
        assert runs.shows_life(storage, state, limit_s=10)


def test_time_that_a_run_stood_still_is_not_worked(storage: str) -> None:
    state = runs.create_run(storage, recipe(), "one.01")
    assert state.began == state.created
    # One driver ended after 100 s, the next took the run 900 s later and worked for 50 s.
    state = runs.change_state(state, state="stopped", worked_s=100.0)
    assert state.total_s(state.created + 999.0) == 100.0
    state = runs.take_over_run(storage, recipe(), "one.02")
    assert state.began is not None and state.worked_s == 100.0
    assert state.total_s(state.began + 50.0) == pytest.approx(150.0)


def test_a_driver_that_died_worked_until_its_last_sign_of_life(storage: str) -> None:
    state = runs.create_run(storage, recipe(), "one.01")
    runs.change_state(state, state="running", began=time.time() - 500.0, worked_s=7.0)
    folder = runs.run_directory(storage, "one")
    lock.beat(folder)
    [beat] = [path for path in Path(folder).rglob("*beat*") if path.is_file()]
    beat.write_text(json.dumps({**json.loads(beat.read_text()), "time": time.time() - 480.0}))
    after = runs.take_over_run(storage, recipe(), "one.02", beat_limit_s=0.1)
    assert after.worked_s == pytest.approx(27.0, abs=5.0)  # 7 s before, 20 s until it died


def test_a_run_of_old_has_the_time_between_its_first_and_last_word(storage: str) -> None:
    known = {"name": "one", "storage": storage, "created": 100.0, "updated": 160.0}
    old = runs.RunState.model_validate({**known, "state": "stopped"})
    assert old.total_s(9_999.0) == 60.0
    assert old.model_copy(update={"state": "running"}).total_s(190.0) == 90.0
