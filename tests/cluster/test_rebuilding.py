"""What is told of a run without its run.json; any damage is tried in tests/test_damaged_runs.py."""

import json
import time
from pathlib import Path

from cluster.rebuilding import read_record_file, rebuilt_fields, recipe_of_commits
from configs.records import DataReady
from tests.past_runs import begun, commit, ended, step, write_beat, write_run, write_whole_commit

READY = DataReady(
    time=1.0,
    path="/prepared/g",
    fingerprint="g",
    cached=False,
    rows_in=1,
    duplicates=0,
    dropped={},
    splits={},
    num_labels=2,
)


def test_the_last_word_tells_how_a_run_ended(tmp_path: Path) -> None:
    last = ended("failed", "row 3 has no label", "DataError", 4)
    folder = write_run(tmp_path, [READY, begun(1), step(4), commit(4), last])
    told = rebuilt_fields(str(folder), "run.json is gone")
    assert told is not None
    assert (told["state"], told["error"], told["exit_code"]) == ("failed", "DataError", 3)
    assert (told["message"], told["step"], told["attempts"]) == ("row 3 has no label", 4, 1)
    assert (told["data_dir"], told["job_ids"], told["claim"]) == ("/prepared/g", ("past.01",), 1)
    assert (told["created"], told["updated"]) == (1.0, last.time)


def test_a_beat_tells_that_a_run_is_alive(tmp_path: Path) -> None:
    folder = write_run(tmp_path, [begun(2), step(4, 2)], state="running")
    silent = rebuilt_fields(str(folder), "run.json is gone")
    assert silent is not None
    assert silent["state"] == "failed"
    assert silent["message"] == "How it ended is not known: run.json is gone"
    write_beat(folder, age_s=1)
    alive = rebuilt_fields(str(folder), "run.json is gone")
    assert alive is not None
    assert (alive["state"], alive["attempts"]) == ("running", 2)


def test_nothing_is_made_up(tmp_path: Path) -> None:
    folder = write_run(tmp_path, [])
    assert rebuilt_fields(str(folder), "") is None
    assert recipe_of_commits(str(folder)) is None


def test_commits_hold_recipe_packages_and_set(tmp_path: Path) -> None:
    folder = write_run(tmp_path, [])
    for number in (2, 4):
        write_whole_commit(folder, number)
    newest = folder / "checkpoints" / "step-00000004.a01" / "MANIFEST.json"
    newest.write_text(newest.read_text()[:100])  # the one before tells it then
    recipe = recipe_of_commits(str(folder))
    assert recipe is not None
    assert (recipe.name, recipe.cluster.num_workers) == ("past", 4)
    told = rebuilt_fields(str(folder), "")
    assert told is not None
    assert told["data_dir"] == "/prepared/f"
    assert "torch" in told["packages"]
    assert told["updated"] <= time.time()


def test_commits_of_old_runs_can_be_read(tmp_path: Path) -> None:
    folder = write_run(tmp_path, [])
    write_whole_commit(folder, 2)
    path = folder / "checkpoints" / "step-00000002.a01" / "MANIFEST.json"
    old = json.loads(path.read_text())
    for key in ("recipe", "packages", "data_dir"):
        del old[key]
    path.write_text(json.dumps(old))
    told = rebuilt_fields(str(folder), "")
    assert told is not None
    assert (told["step"], told["packages"], told["data_dir"]) == (2, {}, None)
    assert recipe_of_commits(str(folder)) is None


def test_a_line_that_is_being_written_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    assert read_record_file(str(path)) == ([], 0)
    line = begun(1).model_dump_json()
    path.write_text(f"{line}\nbad\n{line[:9]}")
    assert read_record_file(str(path)) == ([begun(1)], 1)


def test_records_tell_how_long_was_worked(tmp_path: Path) -> None:
    stopped = ended("stopped", "stopped").model_copy(update={"time": 11.0, "worked_s": None})
    again = begun(2).model_copy(update={"time": 500.0})
    first = begun(1).model_copy(update={"time": 1.0})
    folder = write_run(tmp_path / "a", [first, stopped])
    told = rebuilt_fields(str(folder), "run.json is gone")
    assert told is not None
    assert (told["began"], told["worked_s"]) == (1.0, 10.0)
    died = step(4, 2).model_copy(update={"time": 520.0})
    folder = write_run(tmp_path / "b", [first, stopped, again, died])
    told = rebuilt_fields(str(folder), "run.json is gone")
    assert told is not None
    assert (told["began"], told["worked_s"]) == (500.0, 30.0)
    last = ended("succeeded", "done").model_copy(update={"time": 530.0, "worked_s": 41.0})
    folder = write_run(tmp_path / "c", [first, stopped, again, died, last])
    told = rebuilt_fields(str(folder), "run.json is gone")
    assert told is not None and told["worked_s"] == 41.0
