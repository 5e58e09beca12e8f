"""The lock of a preparation: one at a time, free again however its holder ended."""

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from configs.errors import StorageError
from tests.object_store import ObjectStore
from tests.trainers.data import words
from tests.trainers.data.words import make_recipe, numbered_rows, write_lines
from trainers import storage
from trainers.data.plan import FOLDER, Plan, plan_preparation
from trainers.data.preparation import Stage, prepare, prepare_plan, run_here
from trainers.data.proof import prove_bucket
from trainers.data.stages import Tick
from trainers.data.work_folder import STALE_S, clear, exclusive, goes_on

HOLD = """
import fcntl, os, sys, time
descriptor = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
fcntl.flock(descriptor, fcntl.LOCK_EX)
print("held", flush=True)
time.sleep(60)
"""


def make_plan(folder: Path) -> Plan:
    path = write_lines(folder / "a.jsonl", numbered_rows(5))
    return plan_preparation(make_recipe(path), str(folder / "store"), tasks=words.WORDS)


def test_one_at_a_time(tmp_path: Path) -> None:
    plan, inside, most = make_plan(tmp_path), 0, 0
    count = threading.Lock()

    def work() -> None:
        nonlocal inside, most
        for _ in range(5):
            with exclusive(plan):
                with count:
                    inside += 1
                    most = max(most, inside)
                with count:
                    inside -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
    assert list((tmp_path / "store").rglob("*.lock")) == []


def test_the_empty_folder_of_another_may_go_at_any_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, mkdir, gone = make_plan(tmp_path), Path.mkdir, []

    def late(path: Path, *mode: int, **options: Any) -> None:
        if path.name == FOLDER and not gone:
            gone.append(path)  # there when it was made, away when Python looks what it is
            raise FileExistsError(path)
        mkdir(path, *mode, **options)

    monkeypatch.setattr(Path, "mkdir", late)
    with exclusive(plan):
        assert Path(f"{plan.data_dir}.lock").exists()
    assert gone


def test_a_file_where_the_folder_goes_is_no_folder_of_another(tmp_path: Path) -> None:
    plan = make_plan(tmp_path)
    Path(plan.data_dir).parent.parent.mkdir()
    Path(plan.data_dir).parent.write_text("a file")
    told = r"\.prepared is a file where a folder for prepared data belongs. Move it"
    with pytest.raises(StorageError, match=told), exclusive(plan):
        pytest.fail("the lock was taken")


def test_a_storage_where_no_lock_can_be_taken_is_named(tmp_path: Path) -> None:
    def refuse(descriptor: int, how: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    plan = make_plan(tmp_path)
    told = r"\.lock cannot be locked: No locks available. Mount the storage with locks"
    with pytest.raises(StorageError, match=told), exclusive(plan, refuse):
        pytest.fail("the lock was taken")
    long = plan.model_copy(update={"data_dir": f"{plan.data_dir}{'x' * 250}"})
    told = r"\.lock cannot be made: File name too long. Prepared data lies beside the runs"
    with pytest.raises(StorageError, match=told), exclusive(long):
        pytest.fail("the lock was taken")


def test_the_lock_of_a_process_that_was_killed_is_free(tmp_path: Path) -> None:
    plan = make_plan(tmp_path)
    path = Path(f"{plan.data_dir}.lock")
    path.parent.mkdir(parents=True)
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE)
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    taken = threading.Event()

    def take() -> None:
        with exclusive(plan):
            taken.set()

    thread = threading.Thread(target=take)
    thread.start()
    assert not taken.wait(0.3)
    holder.send_signal(signal.SIGKILL)
    assert taken.wait(10)
    thread.join()
    holder.stdout.close()
    holder.wait()


def test_a_work_folder_goes_as_a_whole(tmp_path: Path) -> None:
    plan = make_plan(tmp_path)
    Path(plan.work_dir, "clean").mkdir(parents=True)
    clear(plan)
    assert not Path(plan.work_dir).exists()


def test_nothing_is_left_in_a_bucket_where_nobody_would_find_it(
    object_store: ObjectStore, tmp_path: Path
) -> None:
    root = object_store.make_bucket("left")
    path = write_lines(tmp_path / "a.jsonl", numbered_rows(50))
    rules = {"near_duplicates": {"threshold": 0.9}}
    recipe = make_recipe(path, data={"validation": "20%", "cleaning": rules})
    plan = plan_preparation(recipe, root, tasks=words.WORDS)
    assert not goes_on(plan)

    def run(stage: Stage, plan: Plan, items: Sequence[Any], tick: Tick) -> list[Any]:
        if stage is prove_bucket:
            raise KeyboardInterrupt
        return run_here(words.WORDS)(stage, plan, items, tick)

    with pytest.raises(KeyboardInterrupt):
        prepare_plan(plan, run)
    assert not any(name.endswith(".work") for name in storage.list_names(f"{root}/.prepared"))
    made = prepare(recipe, root, words.WORDS)
    assert made.manifest == prepare(recipe, str(tmp_path / "store"), words.WORDS).manifest
    assert storage.list_names(f"{root}/.prepared") == [plan.fingerprint]


def test_what_a_preparation_left_that_nobody_wants_goes_after_a_week(tmp_path: Path) -> None:
    plan = make_plan(tmp_path)
    prepared = Path(plan.data_dir).parent
    ages = {"01d": STALE_S + 60, "4e3": STALE_S - 60, "4e1d": STALE_S + 60, "mine": STALE_S + 60}
    for name, age in ages.items():
        folder = prepared / f"{name}.work"
        folder.mkdir(parents=True)
        (folder / "part.arrow").write_text("1")
        for path in (folder / "part.arrow", folder):
            os.utime(path, (time.time() - age,) * 2)
    lock = prepared / "4e1d.lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(lock)], stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        prepare_plan(plan, run_here(words.WORDS))
        holder.send_signal(signal.SIGKILL)
    found = {path.name for path in prepared.iterdir()}
    # A folder whose name is no fingerprint is a person's.
    theirs = {"mine.work"}
    assert found == {"4e3.work", "4e1d.work", "4e1d.lock", Path(plan.data_dir).name} | theirs
