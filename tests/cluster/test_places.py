"""Runs stay inside of their storage."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from cluster import runs
from cluster.places import refuse_links, run_folder
from configs.errors import RecipeError, StorageError
from tests.cluster.test_runs import recipe

OUTSIDE = "precious.txt"


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / OUTSIDE).write_text("mine")
    return folder


def calls(storage: str, name: str) -> list[Callable[[], object]]:
    return [
        lambda: run_folder(storage, name),
        lambda: runs.read_run(storage, name),
        lambda: runs.read_run_recipe(storage, name),
        lambda: [*runs.read_records(storage, name)],
        lambda: runs.request_stop(storage, name),
        lambda: runs.log_files(storage, name),
        lambda: runs.newest_commit_step(storage, name),
        lambda: runs.clear_stop_request(storage, name),
    ]


def test_link_to_itself_in_the_place_of_a_run_is_refused(tmp_path: Path) -> None:
    (tmp_path / "one").symlink_to("one")
    with pytest.raises(StorageError, match=r"is a link to .*, not the folder of a run"):
        run_folder(str(tmp_path), "one")


@pytest.mark.parametrize("name", ["..", "../elsewhere", "a/../../elsewhere", "/etc", "a\n"])
def test_name_that_leads_elsewhere_is_refused(tmp_path: Path, elsewhere: Path, name: str) -> None:
    more: list[Callable[[], object]] = [
        lambda: runs.locate_run(name),
        lambda: runs.remember_run(name, runs.Located(storage="s", address="a", job_id="j")),
    ]
    for call in calls(str(tmp_path / "runs"), name) + more:
        with pytest.raises(RecipeError, match="is not a run name"):
            call()
    assert [path.name for path in elsewhere.iterdir()] == [OUTSIDE]


def test_link_in_the_place_of_a_run_is_refused(tmp_path: Path, elsewhere: Path) -> None:
    storage = tmp_path / "runs"
    storage.mkdir()
    (storage / "one").symlink_to(elsewhere)
    writes: list[Callable[[], object]] = [
        lambda: runs.create_run(str(storage), recipe(), "one.01"),
        lambda: runs.take_over_run(str(storage), recipe(), "one.02"),
    ]
    for call in calls(str(storage), "one") + writes:
        with pytest.raises(StorageError, match=f"is a link to {elsewhere}"):
            call()
    assert runs.list_runs(str(storage)) == []
    assert [path.name for path in elsewhere.iterdir()] == [OUTSIDE]


@pytest.mark.parametrize(
    "name", ["checkpoints", "logs", "run.json", "checkpoints/step-00000001.a01"]
)
def test_link_out_of_a_run_is_refused_before_anything_is_written(
    tmp_path: Path, elsewhere: Path, name: str
) -> None:
    storage = str(tmp_path / "runs")
    state = runs.create_run(storage, recipe(), "one.01")
    runs.change_state(state, state="failed")
    link = Path(storage, "one", name)
    link.parent.mkdir(exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(elsewhere / OUTSIDE if name == "run.json" else elsewhere)
    if name == "run.json":
        (elsewhere / OUTSIDE).write_text(state.model_dump_json())
    before = (elsewhere / OUTSIDE).read_text()
    for call in (runs.create_run, runs.take_over_run):
        with pytest.raises(StorageError, match="which lies outside of its run"):
            call(storage, recipe(), "one.02")
    assert (elsewhere / OUTSIDE).read_text() == before
    assert [path.name for path in elsewhere.iterdir()] == [OUTSIDE]


def test_links_inside_of_a_run_are_fine(tmp_path: Path) -> None:
    (tmp_path / "step-1").mkdir()
    (tmp_path / "latest").symlink_to(tmp_path / "step-1")
    (tmp_path / "itself").symlink_to("itself")  # leads nowhere, so not out of the run either
    refuse_links(str(tmp_path))
    refuse_links(str(tmp_path / "absent"))
    refuse_links("s3://bucket/run")


@pytest.mark.parametrize(
    "changes", [{"name": "../../evil"}, {"name": "other"}, {"job_ids": ["../../evil"]}]
)
def test_state_that_was_changed_by_hand_is_not_believed(
    tmp_path: Path, changes: dict[str, object]
) -> None:
    storage = str(tmp_path / "runs")
    state = runs.create_run(storage, recipe(), "one.01")
    content = state.model_dump(mode="json") | changes
    Path(storage, "one", "run.json").write_text(json.dumps(content))
    with pytest.raises(StorageError, match="Was it changed by hand"):
        runs.read_run(storage, "one")
