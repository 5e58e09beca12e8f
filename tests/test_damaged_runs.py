"""Any file of a run's directory cut, garbled, emptied, gone: every verb answers all the same."""

import dataclasses
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cluster import runs
from configs.records import Committed
from launcher.backend import Runs
from launcher.cli import run
from launcher.client import Thaw
from tests.launcher.fake_cluster import ADDRESS, FakeCluster
from tests.past_runs import (
    KILLED,
    begun,
    commit,
    ended,
    failed_log,
    retried,
    step,
    write_aftermath,
    write_beat,
    write_logs,
    write_run,
    write_whole_commit,
)

CODES = {0, 2, 3, 4, 5, 6, 7, 8, 9}
"""Exit codes of a command that knows what it met; 1 is a fault of its own."""
VERBS = (
    ("list",),
    ("status", "past"),
    ("describe", "past"),
    ("metrics", "past", "--steps"),
    ("why", "past"),
    ("checkpoints", "list", "past"),
    ("logs", "past", "--rank", "0"),
)
COMMITS = ("step-00000040.a01", "step-00000060.a02")
Harm = Callable[[Path], None]


def made_run(storage: Path) -> Path:
    """A run that lost a worker, went on, and gave up after its second commit."""
    died = "worker 1 on 10.0.0.5 died"
    records = [
        begun(1),
        *(step(number) for number in range(10, 60, 10)),
        commit(40),
        retried(1, died),
        begun(2, 40, died),
        *(step(number, 2) for number in range(50, 80, 10)),
        commit(60, attempt=2),
        ended("failed", died, "ClusterError", 60),
    ]
    folder = write_run(storage, records)
    for number, attempt in ((40, 1), (60, 2)):
        write_whole_commit(folder, number, attempt)
        logs = write_logs(folder, {0: failed_log(0, KILLED), 1: ""}, attempt)
        write_aftermath(logs, died, words={1: KILLED})
    write_beat(folder, age_s=3600)
    return folder


@pytest.fixture(autouse=True)
def own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("THAW_ADDRESS", raising=False)
    monkeypatch.setenv("THAW_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_run(tmp_path_factory.mktemp("whole"))


@contextmanager
def harmed(name: str, harm: Harm) -> Iterator[Path]:
    """Make the run with one thing in it harmed."""
    with tempfile.TemporaryDirectory() as storage:
        folder = made_run(Path(storage))
        harm(folder / name)
        yield folder


def client_of(folder: Path) -> tuple[Thaw, FakeCluster]:
    """A person's client with real run directories and a cluster in memory."""
    cluster = FakeCluster(story=(ended("succeeded", "reached the last step", number=120),))
    made = cluster.client(ADDRESS, str(folder.parent))
    backend = dataclasses.replace(made.backend, runs=cast(Runs, runs))
    return Thaw(ADDRESS, str(folder.parent), backend=backend), cluster


def answers(folder: Path, capsys: pytest.CaptureFixture[str]) -> dict[tuple[str, ...], int]:
    """Type every verb; each must answer with a code that it means."""
    codes = {}
    for words in (*VERBS, ("watch", "past"), ("resume", "past")):
        client, _ = client_of(folder)
        capsys.readouterr()
        codes[words] = run(list(words), client)
        out, err = capsys.readouterr()
        assert codes[words] in CODES, (words, err)
        assert "did not expect" not in err and "Traceback" not in err, (words, err)
        assert out or err or words[0] == "logs", words
        if codes[words]:
            assert len(err.strip()) < 600, (words, err)
    assert codes.pop(("watch", "past")) in (0, 4, 5)  # as the run ended, where its records tell
    return codes


def goes_on(folder: Path) -> int | None:
    """Resume as the client and its driver do; return the step of the commit it goes on from."""
    client, cluster = client_of(folder)
    client.resume("past")
    ((_, verb, recipe, arguments),) = cluster.submitted
    assert (verb, arguments) == ("finetune", {"resume": "yes"})
    storage = str(folder.parent)
    runs.find_damage(storage, "past")
    state = runs.take_over_run(storage, recipe, "past.09", beat_limit_s=0.0)
    assert (state.state, state.job_ids[-1], state.rebuilt) == ("queued", "past.09", "")
    assert state.attempts < state.claim == runs.newest_claim(str(folder))
    assert runs.read_run(storage, "past") == state
    assert runs.find_damage(storage, "past") == []
    return runs.newest_commit_step(storage, "past")


def files_of(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def delete(path: Path) -> None:
    path.unlink() if path.is_file() else shutil.rmtree(path)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def replace_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@st.composite
def harms(draw: st.DrawFn) -> Harm:
    """Cut a file at a byte, or write other bytes over a range of it."""
    where, length = draw(st.floats(0, 1)), draw(st.integers(1, 400))
    other = draw(st.sampled_from([b"\0", b"\xff", b"{", b"\n", b"9", "\u2028".encode(), b'"']))
    cuts = draw(st.booleans())

    def harm(path: Path) -> None:
        data = path.read_bytes()
        at = int(where * len(data))
        rest = b"" if cuts else (other * length)[:length] + data[at + length :]
        path.write_bytes(data[:at] + rest)

    return harm


def test_a_whole_run_answers_and_goes_on(whole: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with harmed("run.json", lambda path: None) as folder:
        assert set(answers(folder, capsys).values()) == {0}
        for verb in ("list", "status", "describe", "metrics", "why"):
            client, _ = client_of(folder)
            assert run([verb, *([] if verb == "list" else ["past"]), "-o", "json"], client) == 0
        assert goes_on(folder) == 60


@pytest.mark.parametrize("harm", [delete, empty])
def test_a_file_that_is_gone_or_empty(
    harm: Harm, whole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in files_of(whole):
        with harmed(name, harm) as folder:
            codes = answers(folder, capsys)
            assert set(codes.values()) == {0}, (name, codes)
            assert goes_on(folder) == (40 if COMMITS[1] in name else 60), name


def test_a_folder_in_the_place_of_a_file(whole: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in files_of(whole):
        with harmed(name, replace_by_folder) as folder:
            answers(folder, capsys)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_may_not_be_read(whole: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in files_of(whole):
        with harmed(name, lambda path: path.chmod(0)) as folder:
            answers(folder, capsys)


@pytest.mark.parametrize("name", ["lock", "logs", "logs/a02", f"checkpoints/{COMMITS[1]}"])
def test_a_folder_that_is_gone(name: str, whole: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with harmed(name, delete) as folder:
        answers(folder, capsys)
        assert goes_on(folder) == (40 if COMMITS[1] in name else 60)


def test_state_recipe_and_records_may_be_gone_together(
    whole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with harmed("run.json", delete) as folder:
        for name in ("recipe.yaml", "metrics.jsonl", "beat.json"):
            delete(folder / name)
        delete(folder / "logs")
        delete(folder / "lock")
        assert answers(folder, capsys)["status", "past"] == 0
        state = runs.read_run(str(folder.parent), "past")
        assert (state.state, state.step, state.attempts) == ("failed", 60, 2)
        assert state.packages == runs.installed_packages()
        assert state.data_dir == "/prepared/f"
        assert goes_on(folder) == 60


def test_what_stood_in_is_told(whole: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with harmed("run.json", empty) as folder:
        empty(folder / "recipe.yaml")
        with (folder / "metrics.jsonl").open("ab") as stream:
            stream.write(b'{"garbage\n' * 3)
        for words in (*VERBS, ("resume", "past")):
            if words[0] not in ("status", "describe", "metrics", "why", "resume"):
                continue
            client, _ = client_of(folder)
            assert run(list(words), client) == 0
            said = "".join(capsys.readouterr())
            for sentence in (
                "run.json holds no state of a run: what its commits and records tell stands in",
                "recipe.yaml is not what was written there",
                "the recipe that the newest commit holds stands in its place",
                "metrics.jsonl: 3 lines are damaged",
            ):
                assert sentence in " ".join(said.split()), (words, sentence, said)


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_any_file_cut_or_garbled(
    data: st.DataObject, whole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = data.draw(st.sampled_from(files_of(whole)))
    with harmed(name, data.draw(harms())) as folder:
        codes = answers(folder, capsys)
        assert codes["resume", "past"] == 0, codes
        state = runs.read_run(str(folder.parent), "past")
        if name not in ("run.json", "recipe.yaml"):  # a digit may be another one there
            assert state.state == "failed"
            assert goes_on(folder) in ((40, 60) if COMMITS[1] in name else (60,))


def test_records_of_whole_lines_survive(whole: Path) -> None:
    with harmed("metrics.jsonl", lambda path: None) as folder:
        path = folder / "metrics.jsonl"
        lines = path.read_bytes().split(b"\n")
        lines[3] = lines[3][:20] + b"\0" * 9
        path.write_bytes(b"\n".join(lines))
        told, *records = runs.read_records(str(folder.parent), "past")
        assert len(records) == len(lines) - 2
        assert [r.step for r in records if isinstance(r, Committed)] == [40, 60]
        assert "1 line is damaged" in vars(told)["text"]
