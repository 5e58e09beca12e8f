"""The Jobs API of the two-node cluster, and of none."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cluster import jobs
from cluster.jobs import Job, ended_without_record, job_prefix
from cluster.local import LocalCluster
from cluster.nodes import free_ports
from configs.errors import ClusterError, NotFoundError
from configs.records import Ended
from tests.recipes import tiny_recipe

LIMIT_S = 60


def job(state: str, message: str) -> Job:
    return Job.model_validate(
        {
            "job_id": "one.01",
            "run": "one",
            "verb": "finetune",
            "state": state,
            "message": message,
            "storage": "",
            "started": 1.0,
            "ended": 2.0,
        }
    )


@pytest.mark.slow
def test_jobs_are_numbered_listed_and_found(two_nodes: LocalCluster, tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path, name="numbered")
    address = two_nodes.address
    started = time.monotonic()
    ids = [jobs.submit(address, "stop", recipe, {}) for _ in range(2)]
    assert ids == ["numbered.stop.01", "numbered.stop.02"]
    for job_id in ids:
        [*_, ended] = jobs.follow(address, job_id)
        assert isinstance(ended, Ended)
        # There is no such run, and the job says so with the class and code of a local command.
        assert (ended.error, ended.exit_code) == ("NotFoundError", 8)
    assert time.monotonic() - started < LIMIT_S
    mine = [one for one in jobs.list_jobs(address) if one.run == "numbered"]
    assert [(one.job_id, one.verb) for one in mine] == [(job_id, "stop") for job_id in ids]
    assert jobs.latest_job(address, "numbered", "stop").job_id == ids[-1]
    assert '"kind":"ended"' in jobs.job_log(address, ids[0])
    with pytest.raises(NotFoundError, match="no finetune job"):
        jobs.latest_job(address, "numbered")


@pytest.mark.slow
def test_job_that_is_stopped_says_so(two_nodes: LocalCluster, tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path, name="halted")
    job_id = jobs.submit(two_nodes.address, "prepare", recipe, {})
    assert jobs.stop_job(two_nodes.address, job_id)
    [*_, ended] = jobs.follow(two_nodes.address, job_id)
    assert isinstance(ended, Ended)
    assert (ended.state, ended.exit_code) == ("stopped", 143)


@pytest.mark.slow
@pytest.mark.parametrize("call", [jobs.job_status, jobs.stop_job, jobs.job_log])
def test_unknown_job_is_not_found(
    two_nodes: LocalCluster, call: Callable[[str, str], object]
) -> None:
    with pytest.raises(NotFoundError, match=r"knows no job none\.01"):
        call(two_nodes.address, "none.01")


@pytest.mark.slow
def test_wrong_and_missing_token_are_told_apart(
    two_nodes: LocalCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THAW_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(ClusterError, match="asks for a token"):
        jobs.list_jobs(two_nodes.address)
    monkeypatch.setenv("RAY_AUTH_TOKEN", "0" * 64)
    with pytest.raises(ClusterError, match="does not accept the token"):
        jobs.list_jobs(two_nodes.address)


@pytest.mark.slow
def test_address_that_was_chosen_is_asked_whatever_ray_would_choose(
    two_nodes: LocalCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "http://127.0.0.1:1")
    assert isinstance(jobs.list_jobs(two_nodes.address), list)


def test_address_where_nobody_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THAW_HOME", str(tmp_path))
    [port] = free_ports(1)
    with pytest.raises(ClusterError, match=r"No Ray dashboard answers at http://127\.0\.0\.1"):
        jobs.list_jobs(f"http://127.0.0.1:{port}")


@pytest.mark.parametrize(
    ("state", "message", "expected"),
    [
        ("stopped", "", ("stopped", 143, "Stopped from outside")),
        ("failed", "driver\n\x1b[31mKilled\x1b[0m\n", ("failed", 4, "Killed")),
    ],
)
def test_end_of_a_job_that_could_not_say_it(
    state: str, message: str, expected: tuple[Any, ...]
) -> None:
    ended = ended_without_record(job(state, message))
    assert (ended.state, ended.exit_code) == expected[:2]
    assert expected[2] in ended.message


def test_jobs_are_named_after_run_and_verb() -> None:
    assert job_prefix("one", "finetune") == "one"
    assert job_prefix("one", "predict") == "one.predict"
