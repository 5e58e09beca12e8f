"""Why runs failed, read from their directories; which words tell a cause stands in test_causes."""

import json
from pathlib import Path

import pytest

from cluster.aftermath import LostNode
from cluster.diagnosis import Diagnosis, NodeEvent, Outside, diagnose, diagnose_records
from cluster.lock import beating
from cluster.runs import read_run
from configs.errors import NotFoundError
from configs.records import Note
from tests.past_runs import (
    CLOSED,
    KILLED,
    START,
    USAGE,
    begun,
    commit,
    ended,
    entry,
    failed_log,
    retried,
    step,
    write_aftermath,
    write_beat,
    write_commit,
    write_logs,
    write_run,
)

DIED = "worker 1 on 10.0.0.5 died"
GAVE_UP = (
    f"Gave up after 2 attempts, cluster.max_failures is 1: {DIED}. `thaw resume past` goes on from "
    "the last commit"
)
WELL = Outside(job="Its job running: ")


def look(storage: Path, outside: Outside = WELL) -> Diagnosis:
    return diagnose(str(storage), "past", outside)


def killed_twice(storage: Path) -> Path:
    records = [
        begun(1),
        step(40),
        commit(40),
        retried(1, DIED),
        begun(2, 40, DIED),
        ended("failed", GAVE_UP, "ClusterError", 40),
    ]
    folder = write_run(storage, records, cluster={"num_workers": 4, "max_failures": 1})
    write_commit(folder, 40)
    first = "".join(entry(step(n).model_dump_json()) for n in (40, 47))
    write_aftermath(write_logs(folder, {0: first}), DIED, words={1: KILLED})
    record = entry(step(52, 2).model_dump_json())
    logs = {0: record + failed_log(0, CLOSED), 1: entry("imports took 2.1 s")}
    logs |= {2: failed_log(2, CLOSED), 3: entry("imports took 2.2 s")}
    write_aftermath(write_logs(folder, logs, attempt=2), DIED, words={1: KILLED})
    return folder


def test_a_killed_worker_is_told_from_those_that_lost_it(tmp_path: Path) -> None:
    killed_twice(tmp_path)
    found = look(tmp_path)
    assert found.cause is not None and found.cause.name == "worker_killed"
    assert found.message == DIED
    assert found.first is not None
    assert (found.first.rank, found.first.host, found.first.fate) == (1, "10.0.0.5", "silent")
    assert (found.attempt, found.step, found.committed_step) == (2, 52, 40)
    fates = {report.rank: report.fate for report in found.others}
    assert fates == {0: "lost another", 2: "lost another", 3: "silent"}
    assert "connection error code 2" in found.ray_words
    assert [(one.last_step, one.lost_steps, one.cause) for one in found.tries] == [
        (47, 7, "worker_killed"),
        (52, 12, "worker_killed"),
    ]
    assert [change.settings for change in found.changes] == [("cluster.max_failures=3",)]


def test_the_exception_of_one_rank_is_the_first_whoever_wrote_sooner(tmp_path: Path) -> None:
    message = "KeyError: 'logits'"
    folder = write_run(tmp_path, [begun(1), step(3), ended("failed", message, "TrainingError")])
    logs = {0: failed_log(0, CLOSED, second=30), 1: failed_log(1, "KeyError: 'logits'", second=31)}
    write_logs(folder, logs)
    found = look(tmp_path)
    assert found.first is not None
    assert (found.first.rank, found.first.error) == (1, "KeyError")
    assert found.first.frame == "trainers/step.py:101 in take_step"
    assert found.first.usage is not None and found.first.usage.peak_mib == 812
    assert found.cause is not None and found.cause.name == "code"


def test_a_hung_rank_is_the_first_and_the_others_have_stacks(tmp_path: Path) -> None:
    message = "rank 1 made no progress for 9 s in user.py:3 loop. Read logs/a01/rank-*.stacks.txt"
    folder = write_run(tmp_path, [begun(1), step(3), ended("failed", message, "HangError")])
    place = write_logs(folder, {0: entry("a"), 1: entry("b")})
    for rank, waits in ((0, True), (1, False)):
        hang = {
            "rank": rank,
            "silent_s": 9.0,
            "is_late": True,
            "waits": waits,
            "doing": "user.py:3",
        }
        (place / f"rank-{rank}.hang.json").write_text(json.dumps(hang))
        stack = 'thread T (1)\n  File "/tmp/pkg/cluster/worker.py", line 137, in _call\n'
        (place / f"rank-{rank}.stacks.txt").write_text(stack)
    found = look(tmp_path)
    assert found.first is not None and found.first.rank == 1
    assert found.first.stands == "user.py:3"
    assert [report.stack for report in found.others] == [("cluster/worker.py:137 in _call",)]
    assert found.cause is not None and found.cause.name == "hang"


def test_a_lost_node_is_an_event(tmp_path: Path) -> None:
    message = "worker 1 on 10.0.0.5 was lost with its node"
    folder = write_run(tmp_path, [begun(1), step(3), ended("failed", message, "ClusterError")])
    lost = LostNode(
        host="10.0.0.5", reason="health check failed due to missing too many heartbeats"
    )
    write_aftermath(write_logs(folder, {0: failed_log(0, CLOSED)}), message, nodes=(lost,))
    other = NodeEvent(time=START + 30, host="10.0.0.6", text="died: x")
    strange = NodeEvent(time=START + 30, host="10.9.9.9", text="died: x")
    before = NodeEvent(time=START - 9000, host="10.0.0.7", text="died: x")
    found = look(tmp_path, Outside(nodes=(other, strange, before)))
    # The run was written down just now, so that news of START are before its time.
    assert [event.host for event in found.nodes] == ["10.0.0.5"]
    assert "missing too many heartbeats" in found.nodes[0].text
    state = read_run(str(tmp_path), "past")
    during = other.model_copy(update={"time": state.created})
    found = look(tmp_path, Outside(nodes=(during, strange)))
    assert [event.host for event in found.nodes] == ["10.0.0.5", "10.0.0.6"]


@pytest.mark.parametrize(
    ("age_s", "outside", "cause"),
    [
        (2, WELL, None),
        (2, Outside(reached=False, job="No Ray dashboard answers at http://h"), "client_network"),
        (300, Outside(reached=False, job="No Ray dashboard answers at http://h"), "head_lost"),
        (300, Outside(job="The cluster at http://h knows no job past.01"), "head_lost"),
        (300, Outside(job="Its job failed: Job supervisor actor died: x"), "job_supervisor"),
        (300, Outside(job="Its job failed: Job entrypoint command failed, exit code -9"), "driver"),
    ],
)
def test_a_run_that_should_go_on_is_judged_by_its_drivers_beat(
    tmp_path: Path, age_s: float, outside: Outside, cause: str | None
) -> None:
    folder = write_run(tmp_path, [begun(1), step(3)], state="running")
    write_logs(folder, {0: entry("a")})
    write_beat(folder, age_s)
    found = look(tmp_path, outside)
    assert (found.cause.name if found.cause else None) == cause
    assert bool(found.unseen) == (not outside.reached)


def test_a_run_that_goes_well_has_nothing_to_tell(tmp_path: Path) -> None:
    folder = write_run(tmp_path, [begun(1), *map(step, range(1, 30))], state="running")
    write_beat(folder, 1)
    found = look(tmp_path)
    assert (found.cause, found.first, found.findings, found.unseen) == (None, None, (), ())


def test_a_slow_run_gets_findings(tmp_path: Path) -> None:
    records = [begun(1), *(step(n, data_wait=0.4) for n in range(1, 30))]
    write_run(tmp_path, [*records, ended("succeeded", "accuracy 0.9", number=29)])
    assert [finding.name for finding in look(tmp_path).findings] == ["data"]


def test_notice_of_a_node_that_leaves_is_an_event(tmp_path: Path) -> None:
    text = "attempt 1 paused after step 4: 10.0.0.5 will leave the cluster"
    records = [begun(1), step(4), Note(time=START, level="info", text=text), begun(2, 4)]
    write_beat(write_run(tmp_path, records, state="running"), 1)
    assert [event.text for event in look(tmp_path).nodes] == [text]


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no run past"):
        look(tmp_path)
    folder = write_run(tmp_path, [begun(1), ended("failed", DIED, "ClusterError")])
    (folder / "recipe.yaml").write_text("name: [")
    found = look(tmp_path, Outside(reached=False, job="No Ray dashboard answers at http://h"))
    assert found.cause is not None and found.cause.name == "worker_killed"
    assert found.changes == ()
    said = "\n".join(found.unseen)
    assert "No Ray dashboard answers" in said
    assert "recipe cannot be read" in said
    assert "left no log of a rank" in said


def test_records_alone_tell_a_cause(tmp_path: Path) -> None:
    records = [begun(1), step(9), commit(8), ended("failed", DIED, "ClusterError")]
    write_run(tmp_path, records)
    state = read_run(str(tmp_path), "past")
    found = diagnose_records(state, records, WELL, "/far/runs is not visible from here")
    assert found.cause is not None and found.cause.name == "worker_killed"
    assert (found.committed_step, found.tries[0].lost_steps) == (8, 1)
    assert found.unseen == ("/far/runs is not visible from here",)
    assert found.first is None


def test_memory_is_what_the_ranks_wrote(tmp_path: Path) -> None:
    message = (
        "A worker ran out of memory (RuntimeError: DefaultCPUAllocator: can't allocate memory)"
    )
    folder = write_run(tmp_path, [begun(1), ended("failed", message, "TrainingError")])
    write_logs(
        folder, {0: entry("rank 0 ended: x") + entry(USAGE), 1: failed_log(1, "MemoryError")}
    )
    found = look(tmp_path)
    assert found.cause is not None and found.cause.name == "host_memory"
    assert found.first is not None and found.first.rank == 1
    assert [report.usage and report.usage.node_free_mib for report in found.others] == [301]
    assert ("zero.stage=3",) in [change.settings for change in found.changes]


def test_a_run_that_ended_before_its_first_attempt_is_explained(tmp_path: Path) -> None:
    why_not = "cluster.num_workers (4), each with 1 CPUs, cannot be placed. Use at most 2 workers"
    write_run(tmp_path, [ended("failed", why_not, "ClusterError")])
    found = diagnose(str(tmp_path), "past", Outside())
    assert found.cause is not None
    assert (found.cause.name, found.message, found.tries) == ("no_room", why_not, ())


def test_a_driver_that_left_no_beat_is_silent_since_its_last_state(tmp_path: Path) -> None:
    folder = write_run(tmp_path, [begun(1), step(4)], state="running")
    path = folder / "run.json"
    state = read_run(str(tmp_path), "past")
    path.write_text(state.model_copy(update={"updated": state.updated - 90}).model_dump_json())
    found = diagnose(str(tmp_path), "past", Outside(job="Its job failed: died", job_is_over=True))
    assert found.cause is not None
    assert found.cause.name == "driver"


def test_what_the_job_said_last_counts_where_no_disk_took_it(tmp_path: Path) -> None:
    folder = write_run(tmp_path, [begun(1), step(4), commit(4)], state="running")
    write_commit(folder, 4)
    write_beat(folder, age_s=100)
    full = f"{folder}/run.json could not be written: [Errno 28] No space left on device"
    last = ended("failed", full, "StorageError", 4)
    outside = Outside(job="Its job failed: x", job_id="past.01", job_is_over=True, ended=last)
    found = diagnose(str(tmp_path), "past", outside)
    assert found.cause is not None
    assert (found.state, found.cause.name, found.committed_step) == ("failed", "disk_full", 4)
    assert found.unseen[0].startswith("run.json still says running")
    # The last word of a job that was refused is none of the run's.
    other = diagnose(str(tmp_path), "past", outside.model_copy(update={"job_id": "past.02"}))
    assert (other.state, other.cause and other.cause.name) == ("running", "driver")


def test_a_driver_that_outlives_its_job_is_told_from_one_that_died_with_it(tmp_path: Path) -> None:
    folder = write_run(tmp_path, [begun(1), step(4)], state="running")
    outside = Outside(job="Its job failed: the job supervisor died", job_is_over=True)
    with beating(str(folder), every_s=0.05):
        alive = diagnose(str(tmp_path), "past", outside)
    assert alive.cause is not None
    assert (alive.state, alive.cause.name) == ("running", "orphan")
    dead = diagnose(str(tmp_path), "past", outside)
    assert dead.cause is not None
    assert dead.cause.name == "job_supervisor"
