"""Runs whose folder is moved away while they are on."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from cluster import runs
from tests.person import LIMIT_S, Person, same_bits

pytestmark = [pytest.mark.slow, pytest.mark.proof]

EPOCHS = 400
"""So many that a run is on until its test has done with it."""


def _move_away(person: Person, name: str, deadline_s: int) -> tuple[subprocess.Popen[str], Path]:
    """Submit a run and move its folder behind a commit; gives the command and the place."""
    recipe = person.recipe(name, epochs=EPOCHS)
    process = person.start("submit", recipe, "--set", f"checkpoint.deadline_s={deadline_s}")
    person.wait(process, lambda: bool(person.records(name, "commit")))
    away = person.folder / f"{name}.away"
    (person.runs / name).rename(away)
    return process, away


def _said(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=LIMIT_S)
    assert "Traceback" not in err
    return out + err


def test_a_run_without_its_folder_ends_and_goes_on_once_it_is_back(person: Person) -> None:
    process, away = _move_away(person, "away", 3)
    said = " ".join(_said(process).split())
    assert process.returncode == 5, said[-2000:]
    step = runs.newest_commit_step(str(person.folder), away.name) or 0
    # The driver or a worker gives up first; either names the newest commit that it knows, the
    # driver none where the folder went before it had heard of one.
    told = re.search(r"the commit of step (\d+)|the newest commit is step-(\d+)", said)
    if told is None:
        assert "its newest commit, or its start where it has none" in said, said[-2000:]
    else:
        assert 0 < int(told[1] or told[2]) <= step
    assert "Then `thaw resume away` goes on from " in said
    assert not (person.runs / "away").exists()
    away.rename(person.runs / "away")
    assert "away" in person.thaw("why", "away")
    # `Person.stop` lets a rank wait for longer than the few seconds that the run was to wait.
    process = person.start("resume", "away", "--set", "checkpoint.deadline_s=300")
    person.wait(process, lambda: person.committed("away") > step)
    person.stop("away")
    assert "stopped" in _said(process) and process.returncode == 143
    attempts = person.records("away", "attempt")
    assert [attempt["resumed_from_step"] for attempt in attempts] == [None, step]


def test_a_run_whose_name_was_given_to_another_leaves_that_one_alone(
    person: Person, undisturbed: str
) -> None:
    process, away = _move_away(person, "again", 300)
    whole = yaml.safe_load((person.folder / f"{undisturbed}.yaml").read_text())
    (person.folder / "again.yaml").write_text(yaml.safe_dump(whole | {"name": "again"}))
    person.thaw("submit", person.folder / "again.yaml")
    said = _said(process)
    assert process.returncode == 9, said[-2000:]
    assert "took" in said or "begun in its place" in said, said[-2000:]
    assert same_bits(person.weights("again"), person.weights(undisturbed))
    records = [*person.records("again", "step"), *person.records("again", "attempt")]
    assert len(records) == 120 + 1
    assert not (away / "export").exists()
