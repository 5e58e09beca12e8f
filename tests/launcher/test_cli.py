"""The command line as a whole: help, exit codes, errors, what is imported."""

import contextlib
import io
import os
import pty
import subprocess
import sys
import warnings

import pytest

from cluster.auth import PlainTokenWarning
from configs import errors
from launcher.cli import COMMANDS, cli, run
from tests.launcher.fake_cluster import RECIPE, FakeCluster, write_recipe

ROOT = __file__.rsplit("/tests/", 1)[0]

ISSUE = [
    "check",
    "verify",
    "prepare",
    "submit",
    "list",
    "status",
    "describe",
    "why",
    "logs",
    "watch",
    "metrics",
    "stop",
    "resume",
    "delete",
    "evaluate",
    "predict",
    "export",
    "checkpoints",
    "data",
    "tensorboard",
    "cluster",
    "doctor",
    "schema",
    "demo",
    "completion",
]


class Failing(FakeCluster):
    """A cluster on which every look at a run raises one error."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error

    def read_run(self, storage, name):
        raise self.error


def test_every_command_has_a_line_of_help(capsys):
    assert list(COMMANDS) == ISSUE
    assert run(["--help"]) == 0
    out = capsys.readouterr().out
    for name in COMMANDS:
        (line,) = [line for line in out.splitlines() if line.split()[:1] == [name]]
        assert len(line.split()) > 3, name
        assert cli.get_command(None, name).help


def test_help_imports_nothing_heavy_and_is_quick():
    code = (
        "import sys, time; t = time.process_time(); from launcher.cli import run;"
        "code = run(['--help']); took = time.process_time() - t;"
        "heavy = {'torch', 'ray', 'pyarrow', 'pydantic', 'rich', 'yaml', 'numpy', 'transformers'};"
        "print(code, took, sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    code, took, heavy = done.stderr.split(maxsplit=2)
    assert (code, heavy.strip()) == ("0", "[]")
    assert float(took) < 0.3


@pytest.mark.parametrize("kind", errors.THAW_ERRORS)
def test_each_error_is_one_sentence_with_its_exit_code(kind, capsys):
    code = run(["status", "small"], Failing(kind("a (1) is not b (2). Do c.")).client())
    out, err = capsys.readouterr()
    assert code == kind.exit_code
    assert (out, err) == ("", "error     a (1) is not b (2). Do c.\n")


def test_exit_codes_are_the_documented_ones():
    codes = {kind.__name__: kind.exit_code for kind in errors.THAW_ERRORS}
    assert codes == {
        "TrainingError": 1,
        "RecipeError": 2,
        "DataError": 3,
        "ClusterError": 4,
        "StorageError": 5,
        "CheckpointError": 6,
        "HangError": 7,
        "NotFoundError": 8,
        "LockedError": 9,
    }
    assert (errors.INTERRUPTED, errors.STOPPED) == (130, 143)


def test_debug_shows_the_traceback_wherever_it_stands(capsys):
    client = Failing(errors.DataError("no rows")).client()
    assert run(["status", "small", "--debug"], client) == 3
    assert "Traceback" in capsys.readouterr().err
    assert run(["status", "small"], client) == 3
    assert "Traceback" not in capsys.readouterr().err


def test_an_unexpected_error_is_one_sentence_and_a_place_to_look(capsys, tmp_path):
    assert run(["status", "small"], Failing(KeyError("x")).client()) == 1
    err = capsys.readouterr().err
    note = tmp_path / "home" / "last_error.txt"
    assert err.count("\n") == 1 and "KeyError: 'x'" in err and str(note) in err
    assert "Traceback" in note.read_text()


def test_an_interrupt_ends_with_130(capsys):
    assert run(["status", "small"], Failing(KeyboardInterrupt()).client()) == 130
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["sbmit"], "Did you mean submit?"),
        (["status"], "Missing argument 'RUN'"),
        (["list", "--nope"], "No such option"),
        (["list", "-o", "xml"], "'xml' is not one of"),
    ],
)
def test_usage_errors_end_with_2(words, sentence, capsys):
    assert run(words) == 2
    assert sentence in capsys.readouterr().err


def test_every_problem_of_a_recipe_is_a_line(capsys, tmp_path):
    (tmp_path / "recipe.yaml").write_text("name: x\nmodle: y\n")
    assert run(["check", "recipe.yaml"], FakeCluster().client()) == 2
    lines = capsys.readouterr().err.splitlines()
    assert all(line.startswith("error     recipe.yaml") for line in lines) and len(lines) == 4


def typed(line, folder, **environment):
    """Type a line of a shell in which `thaw` stands for ours; gives what came of it."""
    thaw = f"{sys.executable} -c 'from launcher.cli import main; main()'"
    return subprocess.run(
        line.replace("thaw", thaw),
        shell=True,
        capture_output=True,
        text=True,
        timeout=60,
        cwd=folder,
        env={**os.environ, "THAW_HOME": str(folder), "PYTHONPATH": ROOT, **environment},
    )


def test_a_reader_that_left_is_no_error(tmp_path):
    done = typed("thaw schema | head -c 1", tmp_path)
    assert (done.stdout, done.stderr) == ("{", "")


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    ("command", "code"),
    [("schema", 5), ("schema batch.lanes", 5), ("--help", 5), ("status absent", 8)],
)
def test_an_output_that_cannot_be_written_is_a_sentence(unbuffered, command, code, tmp_path):
    done = typed(f"thaw {command} >/dev/full", tmp_path, PYTHONUNBUFFERED=unbuffered)
    assert done.returncode == code, done.stderr
    (line,) = done.stderr.splitlines()
    told = "The output could not be written: No space left on device. Send it to another place"
    assert line == f"error     {told}" or (code == 8 and "absent" in line)
    assert not list(tmp_path.glob("last_error*"))


def test_a_working_folder_that_was_deleted_is_a_sentence(tmp_path):
    (tmp_path / "gone").mkdir()
    done = typed("cd gone && rmdir ../gone && thaw list", tmp_path)
    told = "The folder that this shell is in was deleted. Go to another with cd"
    assert (done.returncode, done.stderr) == (5, f"error     {told}\n")


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", ">&- 2>&-", "2>/dev/full"])
@pytest.mark.parametrize(("command", "code"), [("schema batch.lanes", 0), ("status absent", 8)])
def test_the_exit_code_stands_where_a_stream_is_closed(closed, command, code, tmp_path):
    assert typed(f"thaw {command} {closed}", tmp_path).returncode == code


@pytest.mark.parametrize(("no_color", "coloured"), [("", True), ("1", False)])
def test_no_color_is_honoured_on_a_terminal(no_color, coloured, tmp_path):
    parent, child = pty.openpty()
    try:
        done = subprocess.run(
            [sys.executable, "-c", "from launcher.cli import main; main()", "status", "absent"],
            stderr=child,
            cwd=ROOT,
            env={**os.environ, "NO_COLOR": no_color, "TERM": "xterm"},
            timeout=60,
        )
        said = os.read(parent, 10_000)
    finally:
        os.close(child)
        os.close(parent)
    assert done.returncode == 8
    assert b"There is no run absent" in said
    assert (b"\x1b[" in said) is coloured


class Screen(io.StringIO):
    """A stream that a person looks at."""

    def isatty(self) -> bool:
        return True


def test_an_error_is_broken_between_words_on_a_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("NO_COLOR", "1")
    with contextlib.redirect_stderr(Screen()) as screen:
        assert run(["status", "absent"], FakeCluster().client()) == 8
    rows = screen.getvalue().splitlines()
    assert rows[0].startswith("error     There is no run absent")
    assert len(rows) > 1 and all(row.startswith(" " * 10) for row in rows[1:])
    assert all(len(row) <= 40 or len(row.split()) == 1 for row in rows)
    with contextlib.redirect_stderr(io.StringIO()) as piped:
        run(["status", "absent"], FakeCluster().client())
    assert len(piped.getvalue().splitlines()) == 1


class Sending(FakeCluster):
    """Warns as the real thing does where a token leaves this machine in the clear."""

    def read_run(self, storage, name):
        for _ in range(2):
            warnings.warn("the token of X goes out", PlainTokenWarning, stacklevel=1)
        return super().read_run(storage, name)


def test_token_in_the_clear_is_said_once_a_command(capsys):
    for _ in range(2):
        assert run(["status", "small"], Sending().client()) == 8
        first, *others = capsys.readouterr().err.splitlines()
        assert first == "warning   the token of X goes out" and len(others) == 1


def test_recipe_of_somebody_else_gets_no_token(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("RAY_AUTH_TOKEN", "a-token-of-mine")
    path = str(write_recipe(tmp_path, f"{RECIPE}cluster: {{address: http://somebody:8265}}\n"))
    fake = FakeCluster()
    for words in ("submit", "prepare", "check --cluster", "verify"):
        assert run([*words.split(), path], fake.client(address=None)) == 4
        assert "Nobody but the recipe names the cluster" in capsys.readouterr().err
    assert run(["check", path], fake.client(address=None)) == 0
    assert fake.asked == [] and fake.submitted == []


@pytest.mark.parametrize("words", ["check r.yaml --cluster", "check r.yaml", "doctor"])
def test_address_that_is_none_is_a_mistake_of_the_person(words, capsys):
    assert run([*words.split(), "--address", "not a url"]) == 2
    assert "is not the address of a Ray dashboard" in capsys.readouterr().err


def test_one_key_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["schema", "batch.lanes"]) == 0
    out = capsys.readouterr().out
    assert "a multiple of num_workers" in out
    assert "whole number \u00b7 default 8 \u00b7 at least 1" in out
    assert run(["schema", "batch.lane"]) == 2
    assert "Did you mean batch.lanes?" in capsys.readouterr().err
