"""Command lines that cannot be: one sentence, the right exit code, nothing left behind."""

import os
import shlex
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from launcher.cli import COMMANDS, run
from tests.bad_input.line_cases import LINES
from tests.bad_input.recipe_cases import GOOD
from tests.bad_input.sentences import INNARDS, left_in, poor
from tests.launcher.fake_cluster import FakeCluster


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("THAW_ADDRESS", "RAY_API_SERVER_ADDRESS", "RAY_ADDRESS", "THAW_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("THAW_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("THAW_USER", "bob")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "good.yaml").write_text("\n".join(GOOD.values()))
    (tmp_path / "train.csv").write_text("text,label\none,a\n")
    (tmp_path / "empty").mkdir()
    os.mkfifo(tmp_path / "pipe")


class Refusing(FakeCluster):
    """A cluster that no command may hand a job to."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.add_run(str(folder / "runs"), "done")
        self.add_run(str(folder / "runs"), "halted", "stopped")
        self.add_run(str(folder / "runs"), "live", "running")
        self.add_run(str(folder / "runs"), "hers", "stopped", owner="ada")


@pytest.mark.parametrize(
    ("words", "code", "said"), LINES, ids=[shlex.join(words)[:50] for words, *_ in LINES]
)
def test_command_line_is_refused_in_one_sentence(
    words: list[str], code: int, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster = Refusing(tmp_path)
    before = left_in(tmp_path)
    assert run(words, cluster.client(address=None)) == code
    out, err = capsys.readouterr()
    assert said in err and not INNARDS.search(err), err
    sentence = err.splitlines()[-1].removeprefix("error     ").removeprefix("Error: ")
    assert out == "" and (not poor(sentence) or " for help." in err), err
    assert left_in(tmp_path) == before
    assert cluster.submitted == [] and cluster.stopped == []


WORDS = st.one_of(
    st.sampled_from(list(COMMANDS)),
    st.sampled_from(
        ["good.yaml", "done", "--set", "-o", "json", "--storage", "--address", "--now"]
    ),
    st.text(max_size=12).filter(lambda word: "\0" not in word),
    st.sampled_from(["$(id)", ";", "|", "&&", "../..", "-", "--", "*", "~", "'", '"', "\n"]),
)
ENDLESS = {"demo", "tensorboard", "completion"}
"""Commands that start processes or run long; hypothesis leaves them alone."""


@settings(
    max_examples=80,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(words=st.lists(WORDS, min_size=1, max_size=6))
@example(words=["status", "\ud800"])
def test_any_command_line_ends_with_a_code_and_no_traceback(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if ENDLESS & set(words):
        return
    code = run(words, Refusing(tmp_path).client())
    err = capsys.readouterr().err
    assert code in range(10) or code == 130
    assert "Traceback" not in err and "did not expect" not in err, (words, err)
