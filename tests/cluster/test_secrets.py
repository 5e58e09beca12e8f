"""Where secrets come from, and that they are in nothing that a run leaves behind."""

import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cluster import jobs, runs
from cluster.auth import thaw_home
from cluster.connection import connect
from cluster.local import LocalCluster
from cluster.secrets import read_secrets_file, refuse_missing, take_secrets
from configs.errors import ClusterError
from configs.records import Ended
from tests.recipes import tiny_recipe
from trainers import masking

ROOT = Path(__file__).parent.parent.parent
LEAKING = "tests.cluster.leaking"
PASSWORD = "canary of the file $HOME 91ce"
TOKEN = "canary-of-the-environment/5f1d+7c"  # what tests/conftest.py starts the cluster with
THAW = (sys.executable, "-c", "from launcher.cli import main; main()")


@pytest.fixture
def own_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("THAW_HOME", str(tmp_path))
    monkeypatch.delenv("THAW_SECRETS_FILE", raising=False)
    for name in ("A_TOKEN", "B_TOKEN", "C_TOKEN"):
        monkeypatch.setenv(name, "")
    monkeypatch.setattr(masking, "_forms", ())
    return tmp_path


def write_secrets(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def test_environment_comes_before_the_file(
    own_machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "# mine\n\nexport A_TOKEN=from file A\nB_TOKEN='from file B'\n"
    write_secrets(own_machine / "secrets", text)
    monkeypatch.setenv("A_TOKEN", "from environment")
    assert take_secrets(["A_TOKEN", "B_TOKEN"]) == {}
    assert (os.environ["A_TOKEN"], os.environ["B_TOKEN"]) == ("from environment", "from file B")
    assert masking.masked("from file B, from file A") == "***, from file A"
    other = write_secrets(own_machine / "other", "C_TOKEN=from another file")
    monkeypatch.setenv("THAW_SECRETS_FILE", str(other))
    assert take_secrets(["C_TOKEN"]) == {}


def test_what_is_missing_is_said_by_name(own_machine: Path) -> None:
    write_secrets(own_machine / "secrets", "B_TOKEN=short")
    problems = take_secrets(["A_TOKEN", "B_TOKEN"])
    assert problems["A_TOKEN"] == "is not set"
    assert "fewer than 8 characters" in problems["B_TOKEN"] and "short" not in str(problems)


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604])
def test_file_that_others_can_read_is_not_used(own_machine: Path, mode: int) -> None:
    path = write_secrets(own_machine / "secrets", "A_TOKEN=long enough", mode)
    problems = take_secrets(["A_TOKEN"])
    assert f"chmod 600 {path}" in problems["A_TOKEN"] and f"{mode:04o}" in problems["A_TOKEN"]
    assert "long enough" not in str(problems)


def test_line_that_is_no_secret_is_named_without_its_text(own_machine: Path) -> None:
    path = write_secrets(own_machine / "secrets", "A_TOKEN=fine and well\nsomething else\n")
    with pytest.raises(ClusterError, match="line 2 is not NAME=value") as told:
        read_secrets_file(path)
    assert "something" not in str(told.value)


def test_file_that_cannot_be_read_is_named(own_machine: Path) -> None:
    (own_machine / "secrets").mkdir(mode=0o700)
    told = rf"cannot be read from {own_machine}/secrets: Is a directory"
    assert take_secrets(["A_TOKEN"]) == {"A_TOKEN": told}


def test_machines_are_told_apart() -> None:
    refuse_missing({"one": {}, "two": {}})
    lacks = {"A_TOKEN": "is not set"}
    with pytest.raises(ClusterError) as told:
        refuse_missing({"one": lacks, "two": {}, "three": lacks})
    said = str(told.value)
    assert said.startswith("cluster.secrets: A_TOKEN is not set on one and three. ")
    assert "THAW_SECRETS_FILE" in said and "environment" in said


def recipe_for(folder: Path, name: str, **cluster: Any) -> Any:
    env = {"PYTHONPATH": str(ROOT)}
    return tiny_recipe(
        folder,
        name=name,
        max_steps=2,
        tracking={"tensorboard": True},
        cluster={"env": env, "num_workers": 2, **cluster},
    )


def ended(cluster: LocalCluster, recipe: Any, function: str = "") -> Ended:
    arguments = {"function": f"{LEAKING}:{function}"} if function else {}
    job_id = jobs.submit(cluster.address, "finetune", recipe, arguments)
    *_, last = jobs.follow(cluster.address, job_id)
    assert isinstance(last, Ended)
    return last


@pytest.mark.slow
def test_secret_that_a_node_lacks_is_refused_before_anything_starts(
    two_nodes: LocalCluster, tmp_path: Path
) -> None:
    last = ended(two_nodes, recipe_for(tmp_path, "lacking", secrets=["CANARY_TOKEN", "NOT_SET"]))
    assert (last.error, last.exit_code) == ("ClusterError", 4)
    assert "NOT_SET is not set on 127.0.0.2 and 127.0.0.3" in last.message
    assert "CANARY" not in last.message and not runs.log_files(str(tmp_path / "runs"), "lacking")


def needles() -> list[bytes]:
    """Give what betrays a value: the value, a part of it in base64, quoted forms."""
    found = []
    for value in (TOKEN, PASSWORD):
        found += [value.encode(), json.dumps(value)[1:-1].encode(), value[7:].encode()]
        for offset in range(3):
            found.append(base64.b64encode(b"." * offset + value.encode())[4:24])
    return found


def betrayed(where: str, data: bytes) -> list[str]:
    return [f"{where}: {needle!r}" for needle in needles() if needle in data]


@pytest.mark.proof
@pytest.mark.slow
def test_values_are_in_nothing_that_a_run_leaves_behind(
    two_nodes: LocalCluster, tmp_path: Path
) -> None:
    write_secrets(thaw_home() / "secrets", f"CANARY_PASSWORD={PASSWORD}\n")
    try:
        secrets = ["CANARY_TOKEN", "CANARY_PASSWORD"]
        recipe = recipe_for(tmp_path, "canary", secrets=secrets)
        last = ended(two_nodes, recipe, "finetune")
        assert (last.exit_code, last.message) == (0, "ended with *** and ***")
        failed = ended(two_nodes, recipe_for(tmp_path, "cage", secrets=secrets), "fail")
        assert (
            failed.message == "RuntimeError: ConnectionError: 401 for https://user:*** and ***@host"
        )
    finally:
        (thaw_home() / "secrets").unlink()
    log = (Path(runs.log_files(recipe.storage, "canary")["a01/rank-1"])).read_text()
    for said in ("printed", "to stderr", "logged", "by a C library", "by a child"):
        assert f"{said} ***" in log.replace("['", "").replace("library: ", ""), said
    paths = [path for path in Path(recipe.storage).rglob("*") if path.is_file()]
    assert len(paths) > 20
    found = [problem for path in paths for problem in betrayed(str(path), path.read_bytes())]
    client = connect(two_nodes.address)
    for job in client.list_jobs():
        found += betrayed(f"job {job.submission_id}", repr(job).encode())
        if job.submission_id in ("canary.01", "cage.01"):
            log = client.get_job_logs(job.submission_id)
            found += betrayed(f"log of {job.submission_id}", log.encode())
    for words in (
        ("describe", "canary"),
        ("describe", "cage", "-o", "json"),
        ("status", "cage"),
        ("logs", "canary", "--rank", "0"),
        ("metrics", "canary", "-o", "json"),
        ("--debug", "list"),
    ):
        command = [*THAW, *words, "--storage", recipe.storage]
        shown = subprocess.run(command, capture_output=True, timeout=60, check=True)
        found += betrayed(" ".join(words), shown.stdout + shown.stderr)
    assert not found, "\n".join(found)
