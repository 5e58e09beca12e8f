"""The Jobs API of the two-node cluster, and of none."""

import shlex
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cluster import jobs
from cluster.connection import connect
from cluster.inventory import list_nodes_at
from cluster.joblog import WHOLE_LOG_CHARACTERS, read_job_log
from cluster.jobs import Job, ended_without_record, job_prefix
from cluster.local import LocalCluster
from cluster.nodes import free_ports
from cluster.runs import read_run_recipe
from configs.errors import ClusterError, NotFoundError
from configs.records import Ended
from configs.schema import Recipe
from tests.recipes import tiny_recipe

ROOT = Path(__file__).parent.parent.parent
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


def all_calls(address: str, recipe: Recipe) -> dict[str, Callable[[], object]]:
    """Give every way in which a client asks something of a cluster."""
    return {
        "submit": lambda: jobs.submit(address, "stop", recipe, {}),
        "follow": lambda: [*jobs.follow(address, "none.01")],
        "status": lambda: jobs.job_status(address, "none.01"),
        "list": lambda: jobs.list_jobs(address),
        "stop": lambda: jobs.stop_job(address, "none.01"),
        "log": lambda: jobs.job_log(address, "none.01"),
        "nodes": lambda: list_nodes_at(address),
    }


@pytest.mark.slow
def test_every_call_needs_the_token_and_says_which_was_wrong(
    two_nodes: LocalCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = tiny_recipe(tmp_path, name="token")
    right = Path(two_nodes.token_path).read_text()
    monkeypatch.setenv("THAW_HOME", str(tmp_path))  # where no cluster runs
    monkeypatch.setenv("HOME", str(tmp_path))
    calls = all_calls(two_nodes.address, recipe)
    for call in calls.values():
        with pytest.raises(ClusterError, match=r"asks for a token \(401\) and none was found"):
            call()
    wrong = tmp_path / "wrong"
    wrong.write_text("0" * 64)
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(wrong))
    for name, call in calls.items():
        with pytest.raises(ClusterError) as told:
            call()
        said = str(told.value)
        assert f"does not accept the token of the file {wrong} (403)" in said, name
        assert "RAY_AUTH_TOKEN_PATH" in said and "0" * 64 not in said and "\n" not in said
    wrong.write_text(right)
    assert isinstance(jobs.list_jobs(two_nodes.address), list)
    assert len(list_nodes_at(two_nodes.address)) == 2
    with pytest.raises(NotFoundError):
        jobs.job_log(two_nodes.address, "none.01")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:ssl=None:DeprecationWarning")  # ray 2.60 with aiohttp
def test_long_log_is_streamed_with_the_token(two_nodes: LocalCluster) -> None:
    client = connect(two_nodes.address)
    lines = WHOLE_LOG_CHARACTERS // 100 + 2000
    code = f"import time; [print('x' * 99) for _ in range({lines})]; time.sleep(3); print('last')"
    job_id = client.submit_job(entrypoint=shlex.join(["python", "-c", code]))
    *_, last = (entry for entry in read_job_log(client, job_id))
    assert last == "last"


@pytest.mark.slow
def test_address_that_was_chosen_is_asked_whatever_ray_would_choose(
    two_nodes: LocalCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "http://127.0.0.1:1")
    assert isinstance(jobs.list_jobs(two_nodes.address), list)


@pytest.mark.slow
def test_no_shell_sees_what_a_person_writes(two_nodes: LocalCluster, tmp_path: Path) -> None:
    mark = tmp_path / "it-ran"
    signs = "$(touch it-ran) `touch it-ran`;touch it-ran&'\"|*${CANARY_TOKEN} $HOME\\"
    folder = tmp_path / signs
    folder.mkdir()
    env = {"PYTHONPATH": str(ROOT), "WRITTEN": f"'; touch {mark}; $(touch {mark}) \" #"}
    # A storage with a dollar is refused: who writes one means a variable.
    storage = str(tmp_path / signs.replace("$", ""))
    recipe = tiny_recipe(folder, name="shell", storage=storage, max_steps=1, cluster={"env": env})
    arguments = {"function": "tests.cluster.fake_training:finetune", "more": f"; touch {mark}"}
    job_id = jobs.submit(two_nodes.address, "finetune", recipe, arguments)
    *_, ended = jobs.follow(two_nodes.address, job_id)
    assert isinstance(ended, Ended) and ended.exit_code == 0, ended
    # The very text, dollars and all, has come to the node and into the copy of the recipe.
    assert read_run_recipe(recipe.storage, "shell") == recipe
    assert not mark.exists() and not [*tmp_path.rglob("it-ran")]
    [job] = [job for job in connect(two_nodes.address).list_jobs() if job.submission_id == job_id]
    assert job.entrypoint == "python -m cluster.driver finetune"


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
