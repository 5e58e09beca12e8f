"""What stands in event files, read back with TensorBoard's own reader."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from trainers import masking
from trainers.event_writer import EventWriter

SECRET = "Canary-5e1f-of-own-code"


@pytest.fixture
def hidden(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(masking, "_forms", ())
    masking.hide([SECRET])
    yield


def read(folder: Path) -> Any:
    events = EventAccumulator(str(folder))
    events.Reload()
    return events


@pytest.mark.usefixtures("hidden")
def test_tags_texts_and_hyperparameters_have_no_secrets(tmp_path: Path) -> None:
    writer = EventWriter(tmp_path, 0)
    writer.begin({f"key.{SECRET}": f"value {SECRET.upper()}", "epochs": 3})
    writer.scalar(f"main/validation/acc_{SECRET}", 0.5, 1, 1000.0)
    writer.text("samples", f"| {SECRET.encode().hex()} |", 1)
    writer.end()
    writer.close()
    whole = b"".join(path.read_bytes() for path in tmp_path.iterdir()).lower()
    assert SECRET.lower().encode() not in whole and SECRET.encode().hex().encode() not in whole
    events = read(tmp_path)
    assert events.Scalars("main/validation/acc_***")[0].value == 0.5
    assert (
        b"value ***" in events.summary_metadata["_hparams_/session_start_info"].plugin_data.content
    )


@pytest.mark.usefixtures("hidden")
def test_two_tags_never_become_one_curve(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    writer = EventWriter(tmp_path, 0)
    for step in (1, 2):
        writer.scalar(f"acc_{SECRET}", 0.25, step)
        writer.scalar(f"acc_{SECRET.upper()}", 0.75, step)
    writer.close()
    events = read(tmp_path)
    assert [point.value for point in events.Scalars("acc_***")] == [0.25, 0.25]
    assert [point.value for point in events.Scalars("acc_*** (2)")] == [0.75, 0.75]
    assert "several tags are acc_***" in caplog.text


def test_tags_hold_no_control_signs(tmp_path: Path) -> None:
    writer = EventWriter(tmp_path, 0)
    writer.scalar("acc\x1b]0;x\x07\n\u202e", 1.0, 1)
    writer.close()
    assert read(tmp_path).Tags()["scalars"] == ["acc\\x1b]0;x\\x07\\n\\u202e"]
