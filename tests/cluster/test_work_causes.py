"""Faults of storage, numbers, names and rights are recognised by real texts, each as itself."""

import pytest

from cluster.causes import recognise
from cluster.evidence import Evidence

NOT_LOADED = "model.path ({path}) is no model that can be loaded: {why}. Give a hub id, or a folder"

CASES = [
    ("stopped", None, "stopped after step 12 of 90, committed", {}),
    ("stopped_outside", None, "Stopped from outside, without a commit", {}),
    ("stopped_outside", None, "Stopped at once, without a commit", {}),
    (
        "checkpoint_damaged",
        "CheckpointError",
        "no commit of /runs/past can be loaded: step-00000004.a01/rank-00000.safetensors has 12 "
        "bytes, 80 were written. Start a new run",
        {},
    ),
    (
        "set_damaged",
        "DataError",
        "/runs/.prepared/f/train-00000.arrow is damaged: its bytes are not those that were "
        "prepared. Delete /runs/.prepared/f and prepare the data again",
        {},
    ),
    ("state_lost", None, "How it ended is not known: /runs/past/run.json is gone", {}),
    (
        "recipe_changed",
        "CheckpointError",
        "commit step-00000004.a01 was made with other values of seed. Resume with the run's own "
        "recipe, accept another answer with --allow-change, or start a new run",
        {},
    ),
    (
        "recipe_changed",
        "RecipeError",
        "run past was computed with other packages: torch 2.12.0, now 2.13.0. Install those again, "
        "or accept another answer with --allow-change",
        {},
    ),
    (
        "disk_full",
        "StorageError",
        "/runs/past/metrics.jsonl could not be appended to: [Errno 28] No space left on device",
        {},
    ),
    (
        "disk_full",
        "TrainingError",
        "OSError: [Errno 28] No space left on device: '/tmp/x'",
        {"words": "OSError: [Errno 28] No space left on device: '/tmp/x'"},
    ),
    (
        "quota",
        "StorageError",
        "/runs/past/run.json could not be written: [Errno 122] Disk quota exceeded",
        {},
    ),
    (
        "quota",
        "RecipeError",
        NOT_LOADED.format(path="org/m", why="429 Client Error: Too Many Requests for url"),
        {},
    ),
    (
        "storage",
        "StorageError",
        "/runs/past/run.json could not be read: [Errno 5] Input/output error",
        {},
    ),
    (
        "storage",
        "StorageError",
        "step-00000004.a01 could not be committed within checkpoint.deadline_s (300 s): "
        "/runs/past/x could not be written: [Errno 107] Transport endpoint is not connected. Make "
        "room on the storage or repair it. Then `thaw resume past` goes on from step 2",
        {},
    ),
    (
        "storage",
        "StorageError",
        "s3://b/runs/past/run.json could not be read: When reading information for key 'x' in "
        "bucket 'b': AWS Error NETWORK_CONNECTION during HeadObject operation: curlCode: 28",
        {},
    ),
    (
        "storage_auth",
        "StorageError",
        "s3://b/runs/past/run.json could not be written: When initiating multiple part upload for "
        "key 'x' in bucket 'b': AWS Error ACCESS_DENIED during CreateMultipartUpload operation: "
        "Access Denied",
        {},
    ),
    (
        "storage_auth",
        "StorageError",
        "/runs/past/run.json could not be written: [Errno 13] Permission denied: '/runs/past'",
        {},
    ),
    (
        "storage_apart",
        "HangError",
        "Only 1 of 2 workers can be seen in /runs/past/logs/a01 after 60 s. Mount the "
        "the same storage?",
        {},
    ),
    (
        "nonfinite",
        "TrainingError",
        "the loss is nan at step 7 (step 7 of epoch 1), first on rank 1 in lane 3, row ids 00ff. "
        "Lower optimizer.learning_rate, look at these rows",
        {"words": "TrainingError: the loss is nan"},
    ),
    ("nonfinite", "TrainingError", "the loss is 8.25, above 4.5, at step 90. Lower", {}),
    ("nonfinite", "TrainingError", "the gradient norm is inf at this step. Lower", {}),
    ("locked", "LockedError", "The name past is taken in /runs. Choose another name", {}),
    (
        "locked",
        "LockedError",
        "Run past is running: job past.01 works on it. Wait for it, or stop it",
        {},
    ),
    (
        "superseded",
        "LockedError",
        "attempt 2 may not write into /runs/past any more: attempt 3 has taken the run over. Leave "
        "the run to it",
        {},
    ),
    (
        "hub_auth",
        "RecipeError",
        NOT_LOADED.format(path="org/gated", why="You are trying to access a gated repo"),
        {},
    ),
    (
        "hub_auth",
        "TrainingError",
        "RepositoryNotFoundError: 401 Client Error. (Request ID: Root=1-68)",
        {"words": "RepositoryNotFoundError: 401 Client Error.\nRepository Not Found for url: h"},
    ),
    (
        "hub_unreachable",
        "RecipeError",
        NOT_LOADED.format(
            path="org/m", why="We couldn't connect to 'https://huggingface.co' to load the files"
        ),
        {},
    ),
    (
        "ledger",
        "TrainingError",
        "epoch 1 saw 60 rows, it must hold 61, or not the same ones. Prepare the data again and "
        "start a new run",
        {},
    ),
    (
        "defect",
        "TrainingError",
        "a frozen weight changed during training, which must never be. Report this as a defect",
        {},
    ),
]


@pytest.mark.parametrize(
    ("name", "error", "message", "parts"), CASES, ids=[f"{n}-{c[0]}" for n, c in enumerate(CASES)]
)
def test_cause_is_recognised_as_itself_and_nothing_else(
    name: str, error: str | None, message: str, parts: dict[str, str]
) -> None:
    found = recognise(Evidence(error=error, message=message, **parts))
    assert [cause.name for cause in found] == [name]
