"""Whole runs on the two-node cluster, with a train function that only counts."""

import threading
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from cluster import jobs, runs
from cluster.local import LocalCluster
from configs.records import Attempt, DataReady, Ended, Note, Record, Step
from configs.schema import Recipe
from tests.cluster.fake_training import pid_of
from tests.recipes import tiny_recipe
from tests.trainers.runs import is_full

ROOT = Path(__file__).parent.parent.parent
FAKE = "tests.cluster.fake_training"
LIMIT_S = 240

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("finetuning")


def recipe_for(folder: Path, name: str, **cluster: Any) -> Recipe:
    env = {"PYTHONPATH": str(ROOT)}
    return tiny_recipe(folder, name=name, max_steps=3, cluster={"env": env, **cluster})


def run(
    cluster: LocalCluster,
    recipe: Recipe,
    function: str = "finetune",
    **arguments: str,
) -> list[Record | str]:
    """Submit and follow, bounded; what is in the log besides records fails the test."""
    arguments["function"] = f"{FAKE}:{function}"
    job_id = jobs.submit(cluster.address, "finetune", recipe, arguments)
    killer = threading.Timer(LIMIT_S, jobs.stop_job, (cluster.address, job_id))
    killer.start()
    entries = []
    try:
        for entry in jobs.follow(cluster.address, job_id):
            entries.append(entry)
            assert not isinstance(entry, str), jobs.job_log(cluster.address, job_id)
    finally:
        killer.cancel()
    return entries


def last(entries: list[Record | str]) -> Ended:
    assert isinstance(entries[-1], Ended)
    return entries[-1]


def test_four_workers_on_two_nodes_say_what_they_do(two_nodes: LocalCluster, folder: Path) -> None:
    recipe = recipe_for(folder, "four", num_workers=4)
    entries = run(two_nodes, recipe)
    ended = last(entries)
    assert (ended.state, ended.exit_code) == ("succeeded", 0)
    assert ended.message == "sum of ranks 6.0"  # 0 + 1 + 2 + 3
    [data] = [entry for entry in entries if isinstance(entry, DataReady)]
    assert data.rows_in == sum(data.splits.values()) + data.duplicates > 0
    [attempt] = [entry for entry in entries if isinstance(entry, Attempt)]
    assert (attempt.attempt, attempt.num_workers, attempt.reason) == (1, 4, "submitted")
    assert sorted(attempt.nodes) == ["127.0.0.2", "127.0.0.2", "127.0.0.3", "127.0.0.3"]
    assert [entry.step for entry in entries if isinstance(entry, Step)] == [1, 2, 3]
    assert entries == [*runs.read_records(recipe.storage, "four")]
    state = runs.read_run(recipe.storage, "four")
    assert (state.state, state.exit_code, state.attempts) == ("succeeded", 0, 1)
    assert ended.worked_s == state.worked_s == state.total_s(0.0) > 0
    assert state.job_ids == ("four.01",)
    logs = runs.log_files(recipe.storage, "four")
    assert [*logs] == [f"a01/rank-{rank}" for rank in range(4)]
    # The driver knows the end by rank 0; the others write theirs at the same time.
    limit = time.monotonic() + LIMIT_S
    while "rank 3 ended" not in Path(logs["a01/rank-3"]).read_text():
        assert time.monotonic() < limit
        time.sleep(0.05)


def test_bad_data_is_not_tried_again(two_nodes: LocalCluster, folder: Path) -> None:
    started = time.monotonic()
    entries = run(two_nodes, recipe_for(folder, "bad", num_workers=2), function="bad_data")
    ended = last(entries)
    assert (ended.state, ended.exit_code, ended.error) == ("failed", 3, "DataError")
    assert ended.message == "row 3 has no label. Give it one"
    assert len([entry for entry in entries if isinstance(entry, Attempt)]) == 1
    assert time.monotonic() - started < LIMIT_S


@pytest.mark.parametrize(("hangs", "code"), [(1, 0), *([(2, 7)] if is_full() else [])])
def test_a_hang_is_ended_and_tried_once_more(
    two_nodes: LocalCluster, folder: Path, hangs: int, code: int
) -> None:
    recipe = recipe_for(folder, f"hangs{hangs}", num_workers=2)
    env = recipe.cluster.env | {"FAKE_HANGS": str(hangs)}
    recipe = recipe.model_copy(
        update={
            "cluster": recipe.cluster.model_copy(update={"env": env}),
            "faults": recipe.faults.model_copy(update={"watchdog_s": 5.0}),
        }
    )
    entries = run(two_nodes, recipe, function="hang")
    ended = last(entries)
    assert ended.exit_code == code, ended.message
    attempts = [entry for entry in entries if isinstance(entry, Attempt)]
    assert [entry.attempt for entry in attempts] == [1, 2]
    why = attempts[1].reason if code == 0 else ended.message
    assert "rank 1 made no progress for 5 s in " in why
    assert "fake_training.py" in why
    assert "in collectives wait rank 0 in " in why
    assert ended.error == (None if code == 0 else "HangError")
    logs = folder / "runs" / recipe.name / "logs" / "a01"
    assert "in hang" in (logs / "rank-1.stacks.txt").read_text()
    assert "all_reduce" in (logs / "rank-0.stacks.txt").read_text()
    assert not any(psutil.pid_exists(pid_of(logs.parent.parent, rank)) for rank in (0, 1))


@pytest.mark.proof
def test_what_does_not_fit_is_fed_in_smaller_parts(two_nodes: LocalCluster, folder: Path) -> None:
    env = {"PYTHONPATH": str(ROOT), "FAKE_PARTS": "2"}
    recipe = tiny_recipe(
        folder,
        name="large",
        max_steps=3,
        batch={"microbatch_size": 8},
        cluster={"env": env, "num_workers": 1},
    )
    entries = run(two_nodes, recipe, function="short_of_memory")
    assert last(entries).state == "succeeded", last(entries).message
    first, second = (entry for entry in entries if isinstance(entry, Attempt))
    assert first.reason == "submitted"
    assert "A worker ran out of memory (OutOfMemoryError: CUDA out of memory" in second.reason
    assert "Each microbatch is fed in 2 parts from now on" in second.reason
    (note,) = (entry.text for entry in entries if isinstance(entry, Note))
    assert "fed in 2 parts" in note
    state = runs.read_run(recipe.storage, "large")
    assert state.eased == {"faults.feed_parts": 2}
    # A resume goes on with what was found to fit.
    entries = run(two_nodes, recipe, function="short_of_memory", resume="yes")
    assert last(entries).state == "succeeded", last(entries).message
    assert len([entry for entry in entries if isinstance(entry, Attempt)]) == 1
    assert runs.read_run(recipe.storage, "large").attempts == 3


def test_too_many_workers_are_refused_at_once(two_nodes: LocalCluster, folder: Path) -> None:
    recipe = tiny_recipe(
        folder, name="many", batch={"lanes": 12}, cluster={"num_workers": 12, "env": {}}
    )
    entries = run(two_nodes, recipe)
    ended = last(entries)
    assert (ended.error, ended.exit_code) == ("ClusterError", 4)
    assert "cluster.num_workers (12)" in ended.message
    assert "Use at most 8 workers" in ended.message
    assert runs.read_run(recipe.storage, "many").state == "failed"
