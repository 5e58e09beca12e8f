"""Records and event files, read back with TensorBoard's own reader."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from configs.records import Committed, Evaluated, Ledger, Mishap, Note, Record, Step, read_record
from configs.schema import Recipe
from trainers.metrics import NUM_THRESHOLDS, score
from trainers.tasks.judging import Sample, Scored
from trainers.tracking import TAGS, Tracker, flatten, forget_later_steps

NAMES = ("cat", "dog", "b|rd")
RECIPE = Recipe.model_validate(
    {
        "name": "tiny",
        "model": {"path": "folder"},
        "task": {"kind": "text_classification", "labels": ["a", "b"]},
        "data": {"train": "train.csv"},
    }
)


def made_step(step: int, attempt: int = 1) -> Step:
    return Step(
        time=1000.0 + step,
        attempt=attempt,
        step=step,
        total_steps=20,
        epoch=step / 10,
        loss=2.0 / step,
        learning_rate=1e-3,
        grad_norm=0.5,
        rows_per_s=100.0,
        tokens_per_s=900.0,
        data_wait=0.01,
        padding=0.1,
        seconds=0.2,
    )


def made_scored() -> Scored:
    counts = np.zeros((NUM_THRESHOLDS, 3, 2, 2), np.int64)
    counts[:, :, 1, 1], counts[:, :, 0, 0] = 4, 8
    return score(NAMES, np.array([[4, 1, 0], [0, 5, 0], [2, 0, 3]]), counts)


def made_evaluation(step: int, split: str = "validation") -> Evaluated:
    scored = made_scored()
    return Evaluated(
        time=1000.0 + step,
        step=step,
        epoch=step / 10,
        split=split,
        rows=15,
        metrics={"loss": 0.7, **scored.metrics},
        per_class=scored.per_class,
        best=False,
    )


def made_commit(step: int) -> Committed:
    return Committed(time=0, step=step, checkpoint=f"step-{step}", seconds=0.1, num_bytes=9)


def made_ledger(step: int, epoch: int) -> Ledger:
    return Ledger(
        time=0, step=step, epoch=epoch, split="train", rows=9, expected_rows=9, id_sum="0", ok=True
    )


def made_mishap(step: int) -> Mishap:
    return Mishap(time=0, step=step, action="skipped", text="nan", row_ids=("0f",), count=3)


def events_of(run_dir: Path) -> Any:
    accumulator = EventAccumulator(str(run_dir / "tensorboard"))
    accumulator.Reload()
    return accumulator


def evaluate(tracker: Tracker, step: int, split: str) -> None:
    record = made_evaluation(step, split)
    tracker.report(record)
    tracker.evaluated(record, made_scored(), [Sample("a | b\nc", "cat", "dog", 0.25)])


def test_every_listed_tag_is_in_the_event_files(tmp_path: Path) -> None:
    tracker = Tracker(str(tmp_path), RECIPE, resumed_from_step=0, notes=("few rows of a|b",))
    for step in (1, 10, 20):
        tracker.report(made_step(step))
    tracker.report(made_commit(20))
    evaluate(tracker, 10, "validation")
    evaluate(tracker, 20, "test")
    tracker.report(made_mishap(12))
    picture = Sample("", "cat", "dog", 0.25, np.zeros((4, 4, 3), np.uint8))
    for split in ("validation", "test"):
        tracker.evaluated(made_evaluation(20, split), made_scored(), [picture])
    tracker.finished({"loss": 0.7, "accuracy": 0.8})
    tracker.close()

    events = events_of(tmp_path)
    kinds = events.Tags()
    found = {*kinds["scalars"], *kinds["images"], *kinds["tensors"]}
    # Texts are stored under their tag and /text_summary.
    found |= {tag.removesuffix("/text_summary") for tag in found}
    scored = ("loss", *made_scored().metrics)
    others = [name for name in scored if name not in ("loss", "macro_f1")]
    for pattern in TAGS:
        metrics = {"main": ("macro_f1",), "metrics": others, "test": scored}.get(
            pattern.split("/")[0], ("loss", "accuracy")
        )
        for metric in metrics:
            for label in NAMES:
                tag = pattern.format(split="validation", metric=metric, label=label)
                assert tag in found, tag
    pictures = ("confusion_matrix", "f1_per_class", "pictures", "samples", f"pr_curve/{NAMES[0]}")
    assert {f"test/{picture}" for picture in pictures} <= found
    assert "_hparams_/session_start_info" in events.summary_metadata
    # One run: all event files lie in one folder.
    assert {path.parent for path in tmp_path.rglob("*tfevents*")} == {tmp_path / "tensorboard"}


def hyperparameters_of(folder: Path) -> dict[str, Any]:
    content = events_of(folder).summary_metadata["_hparams_/session_start_info"].plugin_data.content
    given = HParamsPluginData.FromString(content).session_start_info.hparams
    return {key: getattr(value, value.WhichOneof("kind")) for key, value in given.items()}


def test_hyperparameters_are_those_that_a_run_is_told_by_from_its_first_number_on(
    tmp_path: Path,
) -> None:
    changes = {"freezing": {"last": 2}, "batch": {"lanes": 16}, "name": "other", "storage": "/x"}
    recipe = Recipe.model_validate({**RECIPE.model_dump(mode="json"), **changes})
    tracker = Tracker(str(tmp_path), recipe, resumed_from_step=0)
    tracker.report(made_step(1))
    tracker.close()  # as a run that is stopped
    assert hyperparameters_of(tmp_path) == {
        "batch.lanes": 16,
        "data.train": "train.csv",
        "epochs": RECIPE.epochs,
        "freezing": "last 2",
        "model.path": "folder",
        "optimizer.learning_rate": pytest.approx(RECIPE.optimizer.learning_rate),
        "task.kind": "text_classification",
        "task.labels": "a, b",
    }
    assert "_hparams_/experiment" not in events_of(tmp_path).summary_metadata


def test_groups_of_tags_stand_in_the_order_of_interest() -> None:
    groups = sorted({tag.split("/")[0] for tag in TAGS if "/" in tag})
    assert groups == ["loss", "main", "metrics", "optimizer", "perf", "progress", "result", "test"]


def test_scalars_hold_the_recorded_numbers(tmp_path: Path) -> None:
    tracker = Tracker(str(tmp_path), RECIPE, resumed_from_step=0)
    for step in (1, 10):
        tracker.report(made_step(step))
    tracker.close()
    points = events_of(tmp_path).Scalars("loss/train")
    assert [(p.step, p.wall_time) for p in points] == [(1, 1001.0), (10, 1010.0)]
    assert [p.value for p in points] == pytest.approx([2.0, 0.2])


def test_samples_are_a_table_that_text_cannot_break(tmp_path: Path) -> None:
    tracker = Tracker(str(tmp_path), RECIPE, resumed_from_step=0)
    evaluate(tracker, 3, "validation")
    tracker.close()
    stored = events_of(tmp_path).Tensors("metrics/validation/samples/text_summary")[0]
    rows = stored.tensor_proto.string_val[0].decode().splitlines()
    assert rows[2:] == ["| a \\| b c | cat | dog | 0.250 |"]


def test_resume_hides_points_that_are_taken_again(tmp_path: Path) -> None:
    first = Tracker(str(tmp_path), RECIPE, resumed_from_step=0)
    for step in (1, 2, 3, 4):
        first.report(made_step(step))
    first.close()
    second = Tracker(str(tmp_path), RECIPE, resumed_from_step=2)
    for step in (3, 4, 5):
        second.report(made_step(step, attempt=2))
    second.close()
    assert [p.step for p in events_of(tmp_path).Scalars("loss/train")] == [1, 2, 3, 4, 5]
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    steps = [(json.loads(line)["step"], json.loads(line)["attempt"]) for line in lines]
    assert steps == [(1, 1), (2, 1), (3, 2), (4, 2), (5, 2)]


def test_records_of_later_steps_are_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    note = Note(time=0, level="info", text="hello")
    records: list[Record] = [
        made_step(1),
        made_step(10),
        made_ledger(10, 1),
        made_evaluation(10),
        made_commit(10),
        note,
        made_step(20),
        made_ledger(20, 2),
        made_evaluation(20),
        made_commit(20),
        made_mishap(20),
    ]
    lines = [record.model_dump_json() for record in records]
    path.write_text("\n".join(lines) + '\n{"kind": "step", "st')
    forget_later_steps(str(path), 20)
    assert [read_record(line) for line in path.read_text().splitlines()] == records
    forget_later_steps(str(path), 15)
    assert [read_record(line) for line in path.read_text().splitlines()] == records[:6]
    forget_later_steps(str(path), 0)
    assert [read_record(line) for line in path.read_text().splitlines()] == [note]
    forget_later_steps(str(tmp_path / "absent.jsonl"), 0)
    assert not (tmp_path / "absent.jsonl").exists()


def test_going_on_keeps_what_cannot_be_read_and_signs_that_look_like_lines(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    odd = Note(time=1.0, level="info", text="a\u2028b\x85c").model_dump_json().encode()
    early, late = (made_step(n).model_dump_json().encode() for n in (4, 8))
    damaged = late[:40] + b"\xff\xfe" + late[42:]
    path.write_bytes(b"\n".join([odd, early, damaged, late, late[:30]]))
    forget_later_steps(str(path), 4)
    assert path.read_bytes() == b"\n".join([odd, early, damaged, b""])
    path.write_bytes(early + b"\n" + odd)  # whole but for its end
    forget_later_steps(str(path), 4)
    assert path.read_bytes() == b"\n".join([early, odd, b""])


def test_without_tensorboard_only_records_are_written(tmp_path: Path) -> None:
    recipe = RECIPE.model_copy(
        update={"tracking": RECIPE.tracking.model_copy(update={"tensorboard": False})}
    )
    tracker = Tracker(str(tmp_path), recipe, resumed_from_step=0)
    tracker.report(made_step(1))
    evaluate(tracker, 1, "test")
    tracker.finished({"loss": 0.1})
    tracker.close()
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.jsonl"]
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 2


def test_numbers_that_are_not_finite_survive_the_file() -> None:
    step = made_step(1).model_copy(update={"grad_norm": float("inf"), "loss": float("nan")})
    back = read_record(step.model_dump_json())
    assert isinstance(back, Step)
    assert back.grad_norm == float("inf")
    assert back.loss != back.loss


def test_flatten_leaves_no_list_and_no_none() -> None:
    flat = flatten(RECIPE.model_dump(mode="json"))
    assert flat["task.labels"] == "a, b"
    assert flat["optimizer.learning_rate"] == 5e-5
    assert flat["model.revision"] == "none"
    assert all(isinstance(value, str | int | float | bool) for value in flat.values())
