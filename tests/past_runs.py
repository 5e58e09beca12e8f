"""Run directories of runs that ended, written on the spot; the texts are those of real faults."""

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cluster import runs
from cluster.aftermath import NAME, Aftermath, LostNode
from cluster.packages import installed_packages
from configs.errors import THAW_ERRORS
from configs.load import recipe_from
from configs.records import Attempt, Committed, Ended, Note, Record, Step
from trainers import storage as files
from trainers.manifest import Cursor, Manifest, SavedFile

START = 1_700_000_000.0
HOSTS = ("10.0.0.4", "10.0.0.5", "10.0.0.6", "10.0.0.7")
STAMP = "2023-11-14 22:13:{second:02d},123 {level} cluster.worker: {text}"
TRACEBACK = """\
Traceback (most recent call last):
  File "/tmp/ray/session_1/runtime_resources/py_modules_files/_ray_pkg_1/cluster/worker.py", line \
61, in work
    ended = _in_group(orders, place)
            ^^^^^^^^^^^^^^^^^^^^^^^^
  File "/tmp/ray/session_1/runtime_resources/py_modules_files/_ray_pkg_2/trainers/step.py", line \
101, in take_step
    outputs = feed(engine, microbatch.inputs, microbatch.recorded)
  File "/usr/lib/site-packages/torch/nn/modules/module.py", line 1751, in _wrapped_call_impl
    return self._call_impl(*args, **kwargs)
"""
CLOSED = (
    "RuntimeError: [gloo/transport/tcp/pair.cc:547] Connection closed by peer [10.0.0.5]:33051. "
    "This may indicate a remote failure such as an OOM or segfault, check remote logs for details."
)
KILLED = (
    "ActorDiedError: The actor died unexpectedly before finishing this task.\n"
    "\tclass_name: RayTrainWorker\n\tactor_id: 5a1c2bb4f2d3c1a0e8b9b6c901000000\n\tpid: 4711\n"
    "\tip: 10.0.0.5\nThe actor is dead because its worker process has died. Worker exit type: "
    "SYSTEM_ERROR Worker exit detail: Worker unexpectedly exits with a connection error code 2. "
    "End of file. Some common causes include: (1) the process was killed by the OOM killer due to "
    "high memory usage, (2) ray stop --force was called, or (3) the worker crashed unexpectedly "
    "due to SIGSEGV or another unexpected error."
)
USAGE = "took 812 MiB at its peak, its node has 301 of 7950 MiB free, computed 41.2 s of 60.0 s"
CODES = {error.__name__: error.exit_code for error in THAW_ERRORS}


def entry(text: str, second: int = 20, level: str = "INFO") -> str:
    """One entry of a rank's log."""
    return STAMP.format(second=second, level=level, text=text) + "\n"


def failed_log(rank: int, exception: str, second: int = 30) -> str:
    """The log of a rank that an exception ended."""
    raised = entry(f"rank {rank} failed", second, "ERROR") + TRACEBACK + exception + "\n"
    return entry("imports took 2.1 s") + raised + entry(USAGE, second)


def step(number: int, attempt: int = 1, **values: float) -> Step:
    """The record of a step, one a second."""
    fields: dict[str, Any] = {
        "time": START + 10 + number,
        "attempt": attempt,
        "step": number,
        "total_steps": 120,
        "epoch": number / 40,
        "loss": 1.5,
        "learning_rate": 1e-3,
        "grad_norm": 1.0,
        "rows_per_s": 10.0,
        "tokens_per_s": 100.0,
        "data_wait": 0.0,
        "padding": 0.05,
        "seconds": 1.0,
    }
    return Step.model_validate({**fields, **values})


def commit(number: int, seconds: float = 0.1, attempt: int = 1) -> Committed:
    """The record of a commit."""
    return Committed(
        time=START + 10 + number + seconds,
        step=number,
        checkpoint=f"step-{number:08d}.a{attempt:02d}",
        seconds=seconds,
        stalled_s=seconds,
        num_bytes=100,
    )


def begun(attempt: int, resumed_from: int | None = None, reason: str = "submitted") -> Attempt:
    """The record of an attempt on four ranks."""
    return Attempt(
        time=START + 5,
        attempt=attempt,
        num_workers=len(HOSTS),
        nodes=HOSTS,
        resumed_from_step=resumed_from,
        reason=reason,
    )


def retried(attempt: int, why: str) -> Note:
    """The driver's note between two attempts."""
    text = f"attempt {attempt} ended: {why}. Trying again from the last commit"
    return Note(time=START + 60, level="warning", text=text)


def ended(state: str, message: str, error: str | None = None, number: int = 0) -> Ended:
    """The last record of a run."""
    return Ended.model_validate(
        {
            "time": START + 90,
            "state": state,
            "exit_code": CODES.get(error or "", 0),
            "error": error,
            "message": message,
            "step": number,
            "metrics": {},
            "rows": 0,
        }
    )


def write_run(
    storage: Path, records: Sequence[Record], *, state: str = "failed", **recipe: Any
) -> Path:
    """Write a run of the name `past`, with the state that its last record tells."""
    folder = storage / "past"
    last = records[-1] if records else None
    asked: dict[str, Any] = {
        "name": "past",
        "storage": str(storage),
        "model": {"path": "org/model"},
        "task": {"kind": "text_classification"},
        "data": {"train": "train.csv", "validation": "10%"},
        "batch": {"lanes": 8, "microbatch_size": 8},
        "cluster": {"num_workers": 4},
    }
    runs.create_run(str(storage), recipe_from({**asked, **recipe}), "past.01")
    for record in records:
        address = files.join(runs.run_directory(str(storage), "past"), "metrics.jsonl")
        files.append_lines(address, [record.model_dump_json()])
    attempts = [record.attempt for record in records if isinstance(record, Attempt)]
    changes: dict[str, Any] = {"state": state, "attempts": max(attempts, default=0)}
    if isinstance(last, Ended):
        changes |= {"state": last.state, "message": last.message, "error": last.error}
        changes |= {"exit_code": last.exit_code, "step": last.step}
    runs.change_state(runs.read_run(str(storage), "past"), **changes)
    return folder


def write_commit(folder: Path, number: int, attempt: int = 1) -> None:
    """Make a commit exist, as far as its name goes."""
    commits = folder / "checkpoints" / f"step-{number:08d}.a{attempt:02d}"
    commits.mkdir(parents=True)
    (commits / "MANIFEST.json").write_text("{}")


def write_whole_commit(folder: Path, number: int, attempt: int = 1) -> None:
    """Make a commit of the run exist with all that its manifest names, the recipe too."""
    recipe = runs.read_run_recipe(str(folder.parent), folder.name)
    name, data = f"step-{number:08d}.a{attempt:02d}", b"weights" * number
    manifest = Manifest(
        cursor=Cursor(step=number),
        data_fingerprint="f",
        arithmetic={},
        parameters={"w": 1},
        frozen=None,
        files=(SavedFile(name="rank-00000.safetensors", num_bytes=len(data), hash="h"),),
        fence=attempt,
        time=START + 10 + number,
        recipe=recipe.model_dump(mode="json"),
        packages=installed_packages(),
        data_dir="/prepared/f",
    )
    place = folder / "checkpoints" / name
    place.mkdir(parents=True)
    (place / "rank-00000.safetensors").write_bytes(data)
    (place / "MANIFEST.json").write_text(manifest.model_dump_json(indent=1))


def write_logs(folder: Path, logs: Mapping[int, str], attempt: int = 1) -> Path:
    """Write logs of ranks with what they announced; gives the folder of the attempt."""
    place = folder / "logs" / f"a{attempt:02d}"
    place.mkdir(parents=True, exist_ok=True)
    for rank, text in logs.items():
        announced = {"host": HOSTS[rank], "machine": "m", "node": f"n{rank}", "pid": 4000 + rank}
        (place / f"rank-{rank}.json").write_text(json.dumps(announced))
        (place / f"rank-{rank}.log").write_text(text)
    return place


def write_aftermath(
    place: Path,
    message: str,
    error: str = "ClusterError",
    words: Mapping[int, str] | None = None,
    nodes: tuple[LostNode, ...] = (),
) -> None:
    """Write down what the driver saw at the end of an attempt."""
    kept = Aftermath(
        time=START + 60,
        error=error,
        message=message,
        final=error != "ClusterError",
        words=dict(words or {}),
        nodes=nodes,
    )
    (place / NAME).write_text(kept.model_dump_json())


def write_beat(folder: Path, age_s: float) -> None:
    """Let the driver's last sign of life be so old."""
    (folder / "beat.json").write_text(json.dumps({"time": time.time() - age_s}))
