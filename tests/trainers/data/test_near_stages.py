"""Near-duplicates as stages: no two alike are left, whatever they are given as."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.trainers.data.test_dealing import prepare_rows

RULES = {"near_duplicates": {"threshold": 0.6, "shingle_words": 1}}
Row = dict[str, Any]


def alike(first: str, second: str) -> bool:
    one, two = set(first.split()), set(second.split())
    return len(one & two) / len(one | two) >= 0.6


def texts(rows: list[Row]) -> list[str]:
    return [row["text"] for row in rows]


BASE = [{"text": f"own{n} other{n}", "label": "xy"[n % 2]} for n in range(12)]
row = st.fixed_dictionaries(
    {
        "text": st.lists(st.sampled_from("abcdefgh"), min_size=2, max_size=6).map(" ".join),
        "label": st.sampled_from("xy"),
    }
)


@given(
    st.lists(row, max_size=25),
    st.lists(row, max_size=6),
    st.lists(row, max_size=6),
    st.sampled_from([1, 4]),
)
@settings(deadline=None, max_examples=15, suppress_health_check=list(HealthCheck))
def test_no_two_rows_alike_are_left(
    train: list[Row], validation: list[Row], test: list[Row], buckets: int
) -> None:
    files = {
        "train": [*train, *BASE],
        "validation": [*validation, {"text": "val", "label": "x"}],
        "test": [*test, {"text": "tst", "label": "y"}],
    }
    folder = Path(tempfile.mkdtemp())
    try:
        manifest, dealt = prepare_rows(folder, files, buckets, cleaning=RULES)
    finally:
        shutil.rmtree(folder)
    held = {*texts(dealt["test"]), *texts(dealt["validation"])}
    for text in texts(dealt["train"]):
        assert not any(alike(text, other) for other in held)
        others = [other for other in set(texts(dealt["train"])) if other != text]
        assert not any(alike(text, other) for other in others)
    for text in texts(dealt["validation"]):
        assert not any(alike(text, other) for other in texts(dealt["test"]))
    assert manifest.splits["test"].rows == len(test) + 1
    report = manifest.report
    kept = sum(info.rows for info in manifest.splits.values())
    assert report.rows_in == sum(map(len, files.values()))
    assert report.rows_in == kept + report.duplicates + sum(report.dropped.values())


@pytest.mark.parametrize("buckets", [1, 4])
def test_what_goes_is_counted_and_named(tmp_path: Path, buckets: int) -> None:
    train = [
        *BASE,
        {"text": "a b c d e", "label": "x"},
        {"text": "a b c d f", "label": "x"},
        {"text": "p q r s t", "label": "x"},
    ]
    test = [{"text": "p q r s u", "label": "x"}]
    manifest, dealt = prepare_rows(
        tmp_path, {"train": train, "test": test}, buckets, cleaning=RULES
    )
    report = manifest.report
    assert report.dropped == {"near-duplicates": 1, "near-duplicates in test": 1}
    assert report.contamination == {"train rows nearly in test": 1}
    assert report.examples["near-duplicates in test"] == (
        "train.jsonl row 15 nearly repeats test.jsonl row 1",
    )
    assert "p q r s t" not in texts(dealt["train"])
    assert len({"a b c d e", "a b c d f"} & set(texts(dealt["train"]))) == 1


def test_rows_with_the_same_text_and_two_labels_go_together(tmp_path: Path) -> None:
    train = [*BASE, *({"text": "p q r s t", "label": label} for label in "xy")]
    test = [{"text": "p q r s u", "label": "x"}]
    manifest, _ = prepare_rows(tmp_path, {"train": train, "test": test}, 1, cleaning=RULES)
    assert manifest.report.dropped == {"near-duplicates in test": 2}
    assert manifest.report.contamination == {"train rows nearly in test": 1}
