"""TensorBoard over several runs."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cluster.runs import RunState
from configs.errors import RecipeError, StorageError
from launcher.boards import board_options, boards_of, refuse_taken_port, serve
from launcher.cli import run

LIMIT_S = 60.0


def made_state(name: str, storage: str) -> RunState:
    return RunState(name=name, storage=storage, created=1.0, updated=1.0, state="running")


def until(ready: Callable[[], object]) -> None:
    limit = time.monotonic() + LIMIT_S
    while not ready():
        assert time.monotonic() < limit
        time.sleep(0.02)


def test_runs_lie_side_by_side_under_their_names(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / "runs" / name / "tensorboard").mkdir(parents=True)
        (tmp_path / "runs" / name / "tensorboard" / "events").write_text(name)
    folder = tmp_path / "boards"
    folder.mkdir()
    boards = {name: str(tmp_path / "runs" / name / "tensorboard") for name in ("a", "b")}
    assert board_options(folder, boards) == ["--logdir", str(folder)]
    assert (folder / "b" / "events").read_text() == "b"
    board_options(folder, {"b": boards["b"]})
    assert os.listdir(folder) == ["b"]


def test_remote_runs_are_named_to_tensorboard_itself(tmp_path: Path) -> None:
    boards = {"a": "s3://bucket/a", "b": "/local/b"}
    assert board_options(tmp_path, boards) == ["--logdir_spec", "a:s3://bucket/a,b:/local/b"]


def test_runs_of_one_name_in_two_storages_are_both_shown() -> None:
    states = [made_state("a", "/x"), made_state("a", "/y"), made_state("b", "/y")]
    assert boards_of(states) == {
        "a in _x": "/x/a/tensorboard",
        "a in _y": "/y/a/tensorboard",
        "b": "/y/b/tensorboard",
    }


def test_runs_that_begin_later_are_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("launcher.boards.LOOK_EVERY_S", 0.05)
    looks = iter([{"a": "/x/a"}, None, {"a": "/x/a", "b": "/x/b"}])

    def look() -> dict[str, str]:
        found = next(looks, {"a": "/x/a", "b": "/x/b"})
        if found is None:
            raise StorageError("gone for a moment")
        return found

    command = [sys.executable, "-c", "import time; time.sleep(1.0)"]
    assert serve(tmp_path, {"a": "/x/a"}, look, command) == 0
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]


def test_a_remote_run_that_begins_later_starts_tensorboard_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("launcher.boards.LOOK_EVERY_S", 0.05)
    starts = tmp_path / "starts"
    now, later = {"a": "s3://x/a"}, {"a": "s3://x/a", "b": "s3://x/b"}
    # The first one stays until it is ended, the second one ends by itself.
    script = """
import sys, time
with open(sys.argv[1], "a+") as starts:
    starts.write(f"{sys.argv[-1]}\\n")
    starts.seek(0)
    again = len(starts.readlines()) > 1
time.sleep(0 if again else 600)
"""
    command = [sys.executable, "-c", script, str(starts)]

    def look() -> dict[str, str]:
        return later if starts.exists() and starts.read_text() else now

    assert serve(tmp_path, now, look, command) == 0
    assert starts.read_text().splitlines() == ["a:s3://x/a", "a:s3://x/a,b:s3://x/b"]


def test_a_signal_ends_tensorboard_and_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    script = f"""
import sys, tempfile
from pathlib import Path
from launcher.boards import ended_by_signals, serve
with tempfile.TemporaryDirectory(prefix="thaw-boards-") as folder, ended_by_signals():
    said = "import os, time; open({str(tmp_path / "pid")!r}, 'w').write(str(os.getpid())); " \
        "time.sleep(600)"
    serve(Path(folder), {{"a": "/x/a"}}, dict, [sys.executable, "-c", said])
"""
    process = subprocess.Popen(
        [sys.executable, "-c", script], env={**os.environ, "TMPDIR": str(tmp_path / "tmp")}
    )
    pid = tmp_path / "pid"
    until(lambda: pid.exists() and pid.read_text())
    assert os.listdir(tmp_path / "tmp")
    process.send_signal(signal.SIGTERM)
    assert process.wait(LIMIT_S) == 128 + signal.SIGTERM
    assert os.listdir(tmp_path / "tmp") == []
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


def test_a_port_that_is_taken_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(RecipeError, match=rf"cannot listen at 127.0.0.1:{port} .*--port"):
            refuse_taken_port("127.0.0.1", port)
    refuse_taken_port("127.0.0.1", port)


def test_no_run_and_unknown_runs_are_not_found(cluster, capsys):
    assert run(["tensorboard"], cluster.client()) == 8
    assert run(["tensorboard", "absent"], cluster.client()) == 8
