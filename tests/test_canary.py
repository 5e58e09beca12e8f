"""No writer of the code lets a secret through: a new one has to be named here with its filter."""

import ast
import base64
import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cluster import secrets
from cluster.aftermath import keep_aftermath
from cluster.failures import Failure
from cluster.recipe_file import read_recipe, write_recipe
from configs.records import Evaluated, Note, read_record
from tests.origin import make_origin
from tests.recipes import tiny_recipe
from tests.source_tree import sources
from trainers import masking, storage
from trainers.data.report_page import render_report
from trainers.export import mask_texts
from trainers.model_card import render_model_card
from trainers.tasks.judging import Sample, Scored
from trainers.tracking import Tracker

CANARY = 'Canary/of "5e1f\\own|code$ + 77'

FILTER = "standard output and error of jobs and workers go through masked_output"
MASKED = "goes through trainers/masking.py, tried below"
STATE = "our own counters, sizes, ids or hashes: no word of own code or of libraries"
ROWS = "rows as they were given: a file of predictions, a prepared set, weights"
PERSON = "the client, which knows no secret of the cluster; words of jobs are masked there"
MADE_UP = "data and models that we make up on the client"
SECRET = "holds a token on purpose: mode 0600 on the machine of its owner"

WRITERS = {
    "cluster/auth.py": SECRET,
    "cluster/book.py": FILTER,
    "cluster/driver.py": FILTER,
    "cluster/examination.py": FILTER,
    "cluster/nodes.py": STATE,
    "cluster/outputs.py": ROWS,
    "cluster/prediction_files.py": ROWS,
    "cluster/secrets.py": FILTER,
    "cluster/verbs.py": FILTER,
    "cluster/worker.py": FILTER,
    "launcher/cli.py": PERSON,
    "launcher/dates.py": MADE_UP,
    "launcher/digits.py": MADE_UP,
    "launcher/docstrings.py": MADE_UP,
    "launcher/image_demonstration.py": MADE_UP,
    "launcher/live.py": PERSON,
    "launcher/own_files.py": MADE_UP,
    "launcher/shell.py": PERSON,
    "launcher/signatures.py": MADE_UP,
    "launcher/small_language_model.py": MADE_UP,
    "launcher/small_translation_model.py": MADE_UP,
    "launcher/terminal.py": PERSON,
    "trainers/adapter_export.py": MASKED,
    "trainers/data/first_rows.py": ROWS,
    "trainers/data/recordings.py": STATE,
    "trainers/data/scratch.py": ROWS,
    "trainers/data/store.py": ROWS,
    "trainers/data/work_folder.py": STATE,
    "trainers/event_writer.py": MASKED,
    "trainers/export.py": MASKED,
    "trainers/masking.py": FILTER,
    "trainers/prefix_recording.py": ROWS,
    "trainers/private_folders.py": STATE,
    "trainers/sentence_files.py": MASKED,
    "trainers/storage.py": MASKED,
    "trainers/tasks/images.py": MASKED,
    "trainers/tensor_file.py": ROWS,
    "trainers/watchdog.py": MASKED,
}
"""Files that write, and why no secret gets through them; all others use trainers/storage.py."""
METHODS = {
    "write", "writelines", "write_text", "write_bytes", "write_table", "save_pretrained",
    "save_file", "dump", "savez", "tofile", "to_csv", "to_json", "to_parquet", "echo", "secho",
    "add_scalar", "add_text", "add_image", "add_hparams", "add_pr_curve_raw", "add_summary",
    "add_event", "write_chunks", "dup2", "print",
}  # fmt: skip
"""Names of calls that write to a file, a stream or a board."""
NOT_FILES = {
    "self.book.write", "run.book.write", "book.write", "demonstration.write", "self.commits.write",
    "self.statistics.write", "self.write", "self.echo", "run.book.echo", "yaml.dump",
}  # fmt: skip
"""Calls of our own functions of these names, whose writers are named themselves."""
OPENERS = {"open", "os.open", "pa.OSFile", "os.fdopen", "pq.ParquetWriter", "pa.ipc.new_file"}


def writes(call: ast.Call) -> bool:
    """Whether a call may write, by its name and by the mode that it opens a file with."""
    name = ast.unparse(call.func)
    if isinstance(call.func, ast.Attribute) and call.func.attr in METHODS:
        return name not in NOT_FILES
    if name in ("print", "SummaryWriter", *OPENERS - {"open"}):
        return True
    if name == "open" or (isinstance(call.func, ast.Attribute) and call.func.attr == "open"):
        words = [*call.args, *(word.value for word in call.keywords if word.arg == "mode")]
        modes = [word.value for word in words if isinstance(word, ast.Constant)]
        return any(isinstance(mode, str) and set(mode) & set("wax+") == set(mode) - set("bt")
                   and 0 < len(mode) < 4 for mode in modes)  # fmt: skip
    return False


def test_every_writer_of_the_code_is_known() -> None:
    found: dict[str, list[str]] = {}
    for source in sources("launcher", "cluster", "trainers", "configs"):
        for node in source.nodes:
            if isinstance(node, ast.Call) and writes(node):
                found.setdefault(source.path, []).append(f"{node.lineno} {ast.unparse(node.func)}")
    new = {path: calls for path, calls in found.items() if path not in WRITERS}
    assert not new, f"say in WRITERS how secrets are kept out, and try it below: {new}"
    assert not set(WRITERS) - set(found), "files that write nothing any more"


@pytest.fixture
def canary(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(masking, "_forms", ())
    masking.hide([CANARY])
    yield CANARY


def needles() -> set[bytes]:
    """Return what betrays the canary, in lower case."""
    data = CANARY.encode()
    forms = {data, data[7:], json.dumps(CANARY)[1:-1].encode(), data.hex().encode()}
    forms |= {base64.b64encode(b"." * offset + data)[4:24] for offset in range(3)}
    forms |= {form.encode() for form in masking.forms_of(CANARY)}
    return {form.lower() for form in forms}


def written(folder: Path) -> list[str]:
    """Return what betrays the canary in a folder; raises where nothing was written."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    assert paths
    return [
        f"{path.name}: {needle!r}"
        for path in paths
        for needle in needles()
        if needle in path.read_bytes().lower()
    ]


def said() -> str:
    """Return the canary in many forms."""
    data = CANARY.encode()
    return " ".join([CANARY, CANARY.upper(), data.hex(), base64.b64encode(data).decode()])


def test_storage_writes_no_secret(tmp_path: Path, canary: str) -> None:
    line = Note(time=1.0, level="info", text=said()).model_dump_json()
    storage.append_lines(str(tmp_path / "lines"), [line])
    storage.write_atomically(str(tmp_path / "whole"), line.encode())
    storage.create_exclusively(str(tmp_path / "once"), line.encode())
    assert not written(tmp_path)
    assert read_record((tmp_path / "lines").read_text()).kind == "note"


def test_records_boards_cards_pages_and_exports_hold_no_secret(tmp_path: Path, canary: str) -> None:
    recipe = tiny_recipe(tmp_path, tracking={"tensorboard": True})
    tracker = Tracker(str(tmp_path / "run"), recipe, resumed_from_step=0)
    names = (f"a {canary}", "b")
    scored = Scored(
        metrics={f"acc_{canary}": 0.5},
        label_names=names,
        per_class={name: {"precision": 1.0, "recall": 1.0, "f1": 1.0, "support": 1.0}
                   for name in names},
        confusion=np.eye(2, dtype=np.int64),
        pr_counts=np.ones((5, 2, 2, 2), np.int64),
    )  # fmt: skip
    record = Evaluated(time=1.0, step=1, epoch=1.0, split="validation", rows=2,
                       metrics=scored.metrics, per_class=scored.per_class, best=True)  # fmt: skip
    tracker.report(record)
    tracker.evaluated(record, scored, [Sample(said(), names[0], "b", 0.5)])
    tracker.finished(scored.metrics)
    tracker.close()
    origin = make_origin(f"/models/{canary}/{canary}", scored.metrics)
    manifest = origin.manifest.model_copy(update={"label_names": (*names, "c")})
    card = render_model_card(replace(origin, manifest=manifest))
    (tmp_path / "card.md").write_text(card)
    page = render_report(manifest).encode()
    storage.write_atomically(str(tmp_path / "report.html"), page)
    export = tmp_path / "export"
    export.mkdir()
    for name in ("config.json", "README.md", "thaw.json", "tokenizer.json"):
        (export / name).write_text(json.dumps({"words": said()}, indent=1))
    mask_texts(export)
    assert not written(tmp_path)
    assert json.loads((export / "config.json").read_text())["words"].count("***") == 4


def test_state_of_runs_and_of_attempts_holds_no_secret(tmp_path: Path, canary: str) -> None:
    recipe = tiny_recipe(tmp_path)
    write_recipe(str(tmp_path / "recipe.yaml"), recipe)
    assert read_recipe(str(tmp_path / "recipe.yaml")) == recipe
    failure = Failure(error="TrainingError", message=said(), exit_code=1, final=True)
    keep_aftermath(str(tmp_path), failure, ValueError(said()), [])
    assert (tmp_path / "failure.json").exists()
    assert not written(tmp_path)


def test_output_of_jobs_and_workers_holds_no_secret(
    tmp_path: Path, canary: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_CANARY", canary)
    log = tmp_path / "log"
    with log.open("wb") as stream:
        process, pipe = secrets.start_filter(["A_CANARY"], stream.fileno())
        half = len(canary) // 2
        for chunk in (said(), "\n", canary[:half], canary[half:], "\n", canary[:half], "\n",
                      canary[half:], "\n", "the end\n"):  # fmt: skip
            os.write(pipe, chunk.encode())
        os.close(pipe)
        secrets.drain(process)
    assert not written(tmp_path)
    assert log.read_text().endswith("the end\n") and log.read_text().count("***") == 6


def test_errors_that_leave_a_worker_hold_no_secret(canary: str) -> None:
    assert canary not in str(masking.masked_error(ConnectionError(said())))
