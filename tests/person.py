"""A person who types `thaw` commands, each a process of its own, and reads what runs leave."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from safetensors.torch import load_file

from cluster import runs
from tests.recipes import tiny_recipe

THAW = [sys.executable, "-c", "from launcher.cli import main; main()"]
LIMIT_S = 240


class Person:
    """Types commands in one folder, against one cluster, on one host."""

    def __init__(
        self, folder: Path, host: Sequence[str] = (), environment: Mapping[str, str] | None = None
    ) -> None:
        self.folder = folder
        self.host = host
        """Words before each command, which carry it to another host."""
        self.environment = environment or {}
        self.runs = folder / "runs"

    def recipe(self, name: str, **sections: Any) -> Path:
        """Write a recipe of 120 steps, a commit every 20, the last block and the head learning."""
        assert not (self.runs / name).exists(), f"another test has called a run {name}"
        recipe = tiny_recipe(
            self.folder,
            name=name,
            freezing={"last": 1, "prefix_cache": "auto"},
            checkpoint={"every_steps": 20, "every_epochs": None},
            evaluation={"every_epochs": 10},
            **({"epochs": 20, "cluster": {"num_workers": 2}, "zero": {"stage": 2}} | sections),
        )
        path = self.folder / f"{name}.yaml"
        path.write_text(yaml.safe_dump(recipe.model_dump(mode="json", exclude_defaults=True)))
        return path

    def start(self, *words: object, home: Path | None = None) -> subprocess.Popen[str]:
        """Type a command and go on; with another THAW_HOME it is another person's."""
        return subprocess.Popen(
            [*self.host, *THAW, *map(str, words)],
            cwd=self.folder,
            env={**os.environ, **self.environment, **({"THAW_HOME": str(home)} if home else {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def thaw(self, *words: object, code: int = 0) -> str:
        """Type a command, wait for it, check its exit code; returns what it printed as data."""
        process = self.start(*words)
        try:
            out, err = process.communicate(timeout=LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            pytest.fail(f"thaw {words} did not end in {LIMIT_S} s:\n{out}\n{err}")
        assert process.returncode == code, f"thaw {words}: {process.returncode}\n{out}\n{err}"
        assert "Traceback" not in err
        return out

    def records(self, name: str, kind: str) -> list[dict[str, Any]]:
        """Read a run's records of one kind."""
        path = self.runs / name / "metrics.jsonl"
        if not path.exists():
            return []
        lines = path.read_text().split("\n")[:-1]
        return [record for line in lines if (record := json.loads(line))["kind"] == kind]

    def wait(self, process: subprocess.Popen[str], ready: Callable[[], bool]) -> None:
        """Wait until something holds while a command runs."""
        limit = time.monotonic() + LIMIT_S
        while not ready():
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < limit
            time.sleep(0.02)

    def stop(self, name: str) -> None:
        """Type `thaw stop` while the rank that listens waits, so that the run hears it in time."""
        (told,) = sorted((self.runs / name / "logs").glob("*/rank-0.json"))[-1:]
        pid = json.loads(told.read_text())["pid"]
        os.kill(pid, signal.SIGSTOP)
        try:
            process = self.start("stop", name)
            self.wait(process, (self.runs / name / "stop.json").exists)
        finally:
            os.kill(pid, signal.SIGCONT)
        out, err = process.communicate(timeout=LIMIT_S)
        assert process.returncode == 0, (out, err)

    def weights(self, name: str) -> dict[str, Any]:
        """Load a run's exported weights."""
        return load_file(self.runs / name / "export" / "model.safetensors")

    def steps(self, name: str) -> int:
        """Give the last step that a run has reported."""
        return max((record["step"] for record in self.records(name, "step")), default=0)

    def committed(self, name: str) -> int:
        """Give the step of a run's newest commit; steps go on while one is being written."""
        return runs.newest_commit_step(str(self.runs), name) or 0


def same_bits(ours: dict[str, Any], theirs: dict[str, Any]) -> bool:
    """Say whether two models have the same tensors, bit by bit."""
    return ours.keys() == theirs.keys() and all(ours[n].equal(theirs[n]) for n in theirs)
