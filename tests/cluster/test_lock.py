"""One driver at a time, also where real processes race for a run."""

import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from cluster import lock, runs
from cluster.lock import Lease
from configs.errors import LockedError
from tests.cluster.racing import recipe
from tests.disks import bring_back, take_away
from trainers.fence import newest_claim, refuse_if_superseded

ROOT = Path(__file__).parent.parent.parent
NUM_PROCESSES = 4
ROUNDS = 20
LIMIT_S = 120


def test_claims_are_numbered_and_given_once(tmp_path: Path) -> None:
    folder = str(tmp_path)
    lock.claim(folder, 1, "one.01")
    with pytest.raises(LockedError):
        lock.claim(folder, 1, "one.02")
    lock.claim(folder, 2, "one.02")
    assert newest_claim(folder) == 2


def test_driver_beats_until_it_ends(tmp_path: Path) -> None:
    folder = str(tmp_path)
    with lock.beating(folder, every_s=0.05):
        assert lock.beats(folder)
    assert not lock.beats(folder, limit_s=0.5)


def test_each_attempt_takes_the_next_number_and_fences_the_one_before(tmp_path: Path) -> None:
    folder = str(tmp_path)
    lock.claim(folder, 1, "one.01")
    lease = Lease(folder, 1)
    assert not lease.is_lost()
    assert lease.renew("one.01") == 2
    assert not lease.is_lost()
    refuse_if_superseded(folder, 2)
    with pytest.raises(LockedError, match="attempt 2 has taken the run over"):
        refuse_if_superseded(folder, 1)


def test_a_driver_that_slept_finds_its_lease_lost(tmp_path: Path) -> None:
    folder = str(tmp_path)
    lock.claim(folder, 1, "one.01")
    slept = Lease(folder, 1)
    lock.claim(folder, 2, "one.02")
    assert slept.is_lost() and slept.lost
    with pytest.raises(LockedError):
        slept.renew("one.01")
    with lock.beating(folder, slept, every_s=0.02):
        # It must not keep others from seeing that the newer driver has died.
        assert not lock.beats(folder, limit_s=0.5)


def test_a_beat_that_cannot_be_written_is_left_out(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    lock.claim(str(run), 1, "one.01")
    with lock.beating(str(run), Lease(str(run), 1), every_s=0.02):
        assert lock.beats(str(run))
        away = take_away(run)
        time.sleep(0.2)
        bring_back(run, away)
        assert lock.beats(str(run))


@pytest.mark.parametrize("verb", ["create", "resume"])
def test_of_many_processes_that_race_one_wins(verb: str, tmp_path: Path) -> None:
    storage = str(tmp_path / "runs")
    if verb == "resume":
        for number in range(ROUNDS):
            state = runs.create_run(storage, recipe(number), "first.01")
            runs.change_state(state, state="stopped", attempts=1)
    begin = time.time() + 4.0
    command = [sys.executable, "-m", "tests.cluster.racing", storage, verb, str(ROUNDS)]
    racers = [
        subprocess.Popen(
            [*command, f"job.{number}", str(begin)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(NUM_PROCESSES)
    ]
    timer = threading.Timer(LIMIT_S, lambda: [racer.kill() for racer in racers])
    timer.start()
    said = [[*iter(racer.stdout.readline, "end\n")] for racer in racers]
    for racer in racers:
        racer.communicate()
    timer.cancel()
    assert [racer.returncode for racer in racers] == [0] * NUM_PROCESSES
    won = Counter(int(number) for each in said for number in each)
    assert won == Counter(range(ROUNDS))
    claims = 1 if verb == "create" else 2
    for number in range(ROUNDS):
        state = runs.read_run(storage, f"round-{number}")
        assert (state.claim, newest_claim(f"{storage}/round-{number}")) == (claims, claims)


def test_a_driver_whose_folder_is_gone_knows_for_how_long(tmp_path: Path) -> None:
    folder, away = tmp_path / "one", tmp_path / "away"
    lock.claim(str(folder), 1, "one.01")
    lease = Lease(str(folder), 1)
    assert not lease.is_lost() and lease.gone_s() == 0
    folder.rename(away)
    assert not lease.is_lost()
    first = lease.gone_s()
    assert not lease.is_lost() and lease.gone_s() > first > 0
    away.rename(folder)
    assert not lease.is_lost() and lease.gone_s() == 0
    folder.rename(away)
    lock.claim(str(folder), 1, "other.01")
    assert lease.is_lost()
