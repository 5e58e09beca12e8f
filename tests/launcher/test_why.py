"""The page that says why a run failed or is slow."""

import json
from dataclasses import replace

import pytest

from cluster import runs
from launcher.cli import run
from launcher.client import Thaw
from tests.launcher.fake_cluster import ADDRESS
from tests.past_runs import (
    CLOSED,
    KILLED,
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


@pytest.fixture
def client(cluster):
    """Run directories on this disk, all else in memory."""
    return Thaw(ADDRESS, backend=replace(cluster.client().backend, runs=runs))


def killed(storage):
    gave_up = f"Gave up after 2 attempts, cluster.max_failures is 1: {DIED}. `thaw resume past` "
    records = [
        begun(1),
        step(40),
        commit(40),
        retried(1, DIED),
        begun(2, 40, DIED),
        ended("failed", f"{gave_up}goes on from the last commit", "ClusterError", 40),
    ]
    folder = write_run(storage, records, cluster={"num_workers": 4, "max_failures": 1})
    write_commit(folder, 40)
    write_aftermath(write_logs(folder, {0: entry(step(47).model_dump_json())}), DIED)
    logs = {0: entry(step(52, 2).model_dump_json()) + failed_log(0, CLOSED), 1: entry("a")}
    write_aftermath(write_logs(folder, logs, attempt=2), DIED, words={1: KILLED})
    return folder


def test_page_of_a_killed_worker(client, tmp_path, capsys):
    killed(tmp_path / "runs")
    assert run(["why", "past"], client) == 0
    lines = capsys.readouterr().out.splitlines()
    said = {line[:10].strip(): line[10:] for line in lines if line[:10].strip()}
    assert lines[0].startswith("failed    past")
    assert said["why"] == "a worker process died"
    assert said["its words"] == DIED
    assert said["first"] == "rank 1 on 10.0.0.5 \u00b7 attempt 2 \u00b7 after step 52"
    assert said["Ray says"].startswith("ActorDiedError: The actor died unexpectedly")
    assert said["others"] == "rank 0 only lost the connection"
    assert said["memory"].startswith("rank 0 812 MiB at its peak")
    assert (
        said["attempt 1"]
        == f"4 workers \u00b7 from the start to step 47 \u00b7 {DIED} \u00b7 7 steps lost"
    )
    assert (
        said["attempt 2"]
        == f"4 workers \u00b7 from step 40 to step 52 \u00b7 {DIED} \u00b7 12 steps lost"
    )
    assert said["do"] == "Resume when its node is well."
    assert "            thaw resume past" in lines
    assert "            thaw resume past --set cluster.max_failures=3" in lines
    assert said["logs"].startswith("thaw logs past --rank 1")


def test_page_as_json(client, tmp_path, capsys):
    killed(tmp_path / "runs")
    assert run(["why", "past", "-o", "json"], client) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["v"], said["cause"]["name"], said["first"]["rank"]) == (1, "worker_killed", 1)
    commands = ["thaw resume past", "thaw resume past --set cluster.max_failures=3"]
    assert said["commands"] == commands
    assert [one["lost_steps"] for one in said["tries"]] == [7, 12]


def test_changes_of_the_answer_are_a_new_run(client, tmp_path, capsys):
    message = "the loss is nan at step 7 (step 7 of epoch 1). Lower optimizer.learning_rate"
    folder = write_run(tmp_path / "runs", [begun(1), ended("failed", message, "TrainingError")])
    write_logs(folder, {0: failed_log(0, f"configs.errors.TrainingError: {message}")})
    assert run(["why", "past"], client) == 0
    out = capsys.readouterr().out
    new = f"thaw submit {folder}/recipe.yaml --set name=past-2 --set optimizer.learning_rate=5e-06"
    assert f"            {new}\n" in out
    # What the message says is not said again as the words of the rank.
    assert out.count("the loss is nan") == 1


def test_page_of_a_hang_shows_where_ranks_stand(client, tmp_path, capsys):
    message = "rank 1 made no progress for 9 s in user.py:3 loop. Read rank-*.stacks.txt"
    folder = write_run(tmp_path / "runs", [begun(1), ended("failed", message, "HangError")])
    place = write_logs(folder, {0: entry("a"), 1: entry("b")})
    for rank, waits in ((0, True), (1, False)):
        hang = {"is_late": True, "waits": waits, "doing": f"user.py:{rank} loop"}
        (place / f"rank-{rank}.hang.json").write_text(json.dumps(hang))
        frame = '  File "/tmp/pkg/cluster/worker.py", line 137, in _call\n'
        (place / f"rank-{rank}.stacks.txt").write_text(f"thread T (1)\n{frame}")
    assert run(["why", "past"], client) == 0
    lines = capsys.readouterr().out.splitlines()
    at = lines.index("          stood at user.py:1 loop")
    assert lines[at + 1] == "            cluster/worker.py:137 in _call"
    at = lines.index("others    rank 0 waited for the others in a collective")
    assert lines[at + 1] == "          rank 0 at user.py:0 loop"


def test_page_of_a_slow_run_has_figures_and_settings(client, tmp_path, capsys):
    steps = [step(number, data_wait=0.4) for number in range(1, 30)]
    write_run(tmp_path / "runs", [begun(1), *steps, ended("succeeded", "accuracy 0.9")])
    assert run(["why", "past"], client) == 0
    out = capsys.readouterr().out
    assert "slow      40 % of the time rank 0 waits for data" in out
    assert "--set name=past-2 --set cluster.cpus_per_worker=2" in out
    assert "nothing stands out" not in out


def test_a_running_run_is_stopped_before_it_is_changed(client, tmp_path, capsys):
    steps = [step(number, data_wait=0.4) for number in range(1, 30)]
    write_beat(write_run(tmp_path / "runs", [begun(1), *steps], state="running"), 1)
    assert run(["why", "past"], client) == 0
    out = capsys.readouterr().out
    assert "once it is stopped" in out
    assert "thaw resume past --set cluster.cpus_per_worker=2" in out


def test_nothing_stands_out_in_a_good_run(client, tmp_path, capsys):
    records = [begun(1), *map(step, range(1, 30)), ended("succeeded", "accuracy 0.9")]
    write_run(tmp_path / "runs", records)
    assert run(["why", "past"], client) == 0
    assert "nothing stands out" in capsys.readouterr().out


def test_many_attempts_are_folded(client, tmp_path, capsys):
    records = []
    for number in range(1, 11):
        records += [begun(number, reason="resumed"), step(3, number), retried(number, DIED)]
    write_beat(write_run(tmp_path / "runs", records, state="running"), 1)
    assert run(["why", "past"], client) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "attempts  4 earlier attempts \u00b7 12 steps lost in them" in lines
    assert sum(line.startswith(("attempt ", "att. ")) for line in lines) == 6


def test_an_unknown_run_is_not_found(client, capsys):
    assert run(["why", "absent"], client) == 8
    assert "There is no run absent" in capsys.readouterr().err
