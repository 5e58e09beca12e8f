"""checkpoints list, verify, gc."""

import json
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from cluster import runs
from launcher.cli import cli, run
from tests.cluster.test_commits import NAMES, VALUES, recipe, storage
from tests.trainers.commits import made_manifest
from trainers.tensor_file import write_tensors

__all__ = ["storage"]


@pytest.fixture
def at(cluster, storage):
    """Type words about the run in that storage."""
    cluster.add_run(storage, "one")

    def type_words(*words: str) -> int:
        return run(["checkpoints", *words, "--storage", storage], cluster.client())

    return type_words


def steps_left(storage: str) -> list[int]:
    left = {path.name for path in Path(storage, "one", "checkpoints").iterdir()}
    return [step for step, name in NAMES.items() if name in left]


def damage(storage: str, step: int) -> None:
    path = Path(storage, "one", "checkpoints", NAMES[step], "rank-00000.safetensors")
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def test_list_shows_each_commit_with_its_marks(at, storage, capsys):
    assert at("list", "one") == 0
    header, *rows = capsys.readouterr().out.splitlines()
    assert header.split()[:7] == ["STEP", "ATTEMPT", "EPOCH", "PHASE", "SIZE", "AGE", "VALUE"]
    assert [row.split()[0] for row in rows] == ["1", "2", "3", "4", "5"]
    assert "best" in rows[1] and "newest" in rows[4] and "0.9000" in rows[1]
    assert at("list", "one", "-o", "json") == 0
    (one,) = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert one["v"] == 1
    assert [each["value"] for each in one["commits"]] == [*VALUES.values()]


def test_verify_names_the_damaged_commit_and_the_one_that_is_used(at, storage, capsys):
    assert at("verify", "one") == 0
    assert capsys.readouterr().out.startswith("whole")
    damage(storage, 5)
    assert at("verify", "one") == 6
    said = capsys.readouterr().err
    assert f"{NAMES[5]}/rank-00000.safetensors does not have the bytes" in said
    assert f"A resume goes on from {NAMES[4]}" in said
    assert at("verify", "one", "-o", "json") == 6
    told = json.loads(capsys.readouterr().out)
    assert told["used"] == NAMES[4] and told["problems"][NAMES[5]]
    for step in VALUES:
        damage(storage, step)  # that of the fifth is undone
    assert at("verify", "one") == 6
    assert f"A resume goes on from {NAMES[5]}" in capsys.readouterr().err


def test_gc_deletes_after_yes_alone(at, storage, capsys):
    assert at("gc", "one", "-o", "json") == 0
    told = json.loads(capsys.readouterr().out)
    assert [each["step"] for each in told["commits"]] == [1, 3]
    assert told["deleted"] is False
    assert steps_left(storage) == [1, 2, 3, 4, 5]
    assert at("gc", "one", "--yes") == 0
    out, err = capsys.readouterr()
    assert NAMES[1] in out and NAMES[3] in out and NAMES[2] not in out
    assert err.startswith("deleted   2 commits")
    assert steps_left(storage) == [2, 4, 5]
    assert at("gc", "one", "--yes") == 0
    assert "keeps all it has" in capsys.readouterr().err
    assert at("gc", "one", "--keep-last", "1", "--keep-best", "1", "--yes") == 0
    assert steps_left(storage) == [2, 5]
    assert at("gc", "one", "--keep-last", "0") == 2


@pytest.mark.parametrize(("answer", "left"), [("n\n", [1, 2, 3, 4, 5]), ("y\n", [2, 4, 5])])
def test_gc_asks(answer, left, cluster, storage):
    cluster.add_run(storage, "one")
    words = ["checkpoints", "gc", "one", "--storage", storage]
    result = CliRunner().invoke(cli, words, input=answer, obj=cluster.client())
    assert result.exit_code == 0, result.output
    assert "Delete 2 commits" in result.output
    assert steps_left(storage) == left


def test_an_unknown_run_is_not_found(at, capsys):
    for words in (("list", "two"), ("verify", "two"), ("gc", "two")):
        assert at(*words) == 8, words
        assert "There is no run two" in capsys.readouterr().err


@pytest.fixture
def finished(cluster, tmp_path) -> str:
    """A run that succeeded, with a commit of a weight and two moments of it."""
    folder = tmp_path / "done"
    state = runs.create_run(str(folder), recipe(), "one.01")
    runs.change_state(state, state="succeeded", attempts=1)
    commit = folder / "one" / "checkpoints" / NAMES[1]
    names = ("weight", "exp_avg", "exp_avg_sq")
    tensors = {f"a|{what}|0": torch.ones(1024) for what in names}
    saved = write_tensors(str(commit / "rank-00000.safetensors"), tensors)
    manifest = made_manifest(1, files=(saved,), time=1.0)
    (commit / "MANIFEST.json").write_text(manifest.model_dump_json())
    cluster.add_run(str(folder), "one")
    return str(folder)


def test_optimizer_state_of_a_run_that_succeeded_can_be_dropped(cluster, finished, capsys):
    client = cluster.client()
    words = ["checkpoints", "gc", "one", "--drop-optimizer", "--storage", finished]
    assert run([*words, "-o", "json"], client) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["bytes"], told["dropped"]) == ({NAMES[1]: 2 * 4 * 1024}, False)
    result = CliRunner().invoke(cli, words, input="n\n", obj=client)
    assert "Drop the optimizer state of 1 commit, 8.0 KiB?" in result.output
    capsys.readouterr()
    assert run([*words, "--yes"], client) == 0
    said = capsys.readouterr().err
    assert said.startswith("dropped   optimizer state of 1 commit, 8.0 KiB")
    assert "one cannot go on any more" in " ".join(said.split())
    assert run([*words, "--yes"], client) == 0
    assert "one has no optimizer state to drop" in capsys.readouterr().err
    at = ["--storage", finished]
    assert run(["checkpoints", "list", "one", *at], client) == 0
    assert "weights alone" in capsys.readouterr().out
    assert run(["checkpoints", "verify", "one", *at], client) == 0
    assert "no step can follow" in " ".join(capsys.readouterr().out.split())
    assert run(["describe", "one", *at], client) == 0
    assert "no step can follow" in " ".join(capsys.readouterr().out.split())


def test_optimizer_state_that_is_needed_is_not_dropped(at, cluster, finished, capsys):
    assert at("gc", "one", "--drop-optimizer", "--yes") == 2
    assert "Run one is stopped, not succeeded" in capsys.readouterr().err
    assert at("gc", "one", "--drop-optimizer", "--keep-last", "1") == 2
    assert "--drop-optimizer keeps all commits" in capsys.readouterr().err


def test_commits_of_somebody_else_stay(at, cluster, storage, capsys):
    cluster.add_run(storage, "one", owner="ann")
    for words in (("--yes",), ("--drop-optimizer", "--yes")):
        assert at("gc", "one", *words) == 9
        assert "Run one is ann's" in capsys.readouterr().err
    assert steps_left(storage) == [1, 2, 3, 4, 5]
    assert at("gc", "one", "--yes", "--force") == 0
    assert steps_left(storage) == [2, 4, 5]
