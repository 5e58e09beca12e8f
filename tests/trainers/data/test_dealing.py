"""Dealing: exact shares of labels, whole groups and times on one side, no input on two."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.trainers.data import words
from tests.trainers.data.words import make_recipe, write_lines
from trainers.data.dealing import Deal, Measured, plan_deals
from trainers.data.plan import Plan, plan_preparation
from trainers.data.preparation import prepare_plan, run_here
from trainers.data.report import PLACE, ROW_BITS
from trainers.data.scratch import read_rows_of
from trainers.data.stages import Tick
from trainers.data.store import Manifest

Row = dict[str, Any]


def prepare_rows(
    folder: Path, files: dict[str, list[Row]], num_buckets: int, **data: Any
) -> tuple[Manifest, dict[str, list[Row]]]:
    """Prepare rows; also give what was dealt to each split, as it was before tokens were made."""
    paths = {split: write_lines(folder / f"{split}.jsonl", rows) for split, rows in files.items()}
    recipe = make_recipe(paths["train"], data={**data, **paths})
    plan = plan_preparation(recipe, str(folder / "store"), tasks=words.WORDS)
    plan = plan.model_copy(update={"num_buckets": num_buckets})
    dealt: dict[str, list[Row]] = {split: [] for split in plan.splits}
    here = run_here(words.WORDS)

    def run(stage: Any, plan: Plan, items: Any, tick: Tick) -> list[Any]:
        made = here(stage, plan, items, tick)
        if stage.__name__ == "deal_bucket":
            for bucket in range(num_buckets):
                for split, found in dealt.items():
                    for place in read_rows_of(plan.work_dir, "dealt", f"{bucket}-{split}")[
                        PLACE
                    ].to_pylist():
                        source = plan.sources[place >> int(ROW_BITS)].split
                        found.append(files[source][(place & (2 ** int(ROW_BITS) - 1)) - 1])
        return made

    return prepare_plan(plan, run).manifest, dealt


def labelled(count: int, label: str) -> list[Row]:
    return [{"text": f"{label} {n}", "label": label} for n in range(count)]


@pytest.mark.parametrize("num_buckets", [1, 4])
def test_each_label_is_shared_out_exactly(tmp_path: Path, num_buckets: int) -> None:
    rows = [*labelled(200, "often"), *labelled(37, "seldom"), *labelled(3, "rare")]
    manifest, _ = prepare_rows(
        tmp_path,
        {"train": rows},
        num_buckets,
        validation="10%",
        test="25%",
        split={"by": "stratified"},
    )
    assert manifest.label_names == ("often", "rare", "seldom")
    counts = {split: info.class_counts for split, info in manifest.splits.items()}
    # round(0.25 n) and round(0.1 n), halves up: 50, 1, 9 and 20, 0, 4.
    assert counts["test"] == (50, 1, 9)
    assert counts["validation"] == (20, 0, 4)
    assert counts["train"] == (130, 2, 24)


def test_strata_are_told_what_came_before(tmp_path: Path) -> None:
    recipe = make_recipe(
        write_lines(tmp_path / "a.jsonl", labelled(4, "x")),
        data={"validation": "10%", "split": {"by": "stratified"}},
    )
    plan = plan_preparation(recipe, str(tmp_path), tasks=words.WORDS)
    plan = plan.model_copy(update={"num_buckets": 2})
    measured = [Measured(strata={"x": 3, "y": 2}), Measured(strata={"y": 5})]
    assert plan_deals(plan, measured) == [
        Deal(bucket=0, strata={"x": (0, 3), "y": (0, 7)}),
        Deal(bucket=1, strata={"y": (2, 7)}),
    ]


texts = st.sampled_from([f"text number {n}" for n in range(25)])
row = st.fixed_dictionaries(
    {"text": texts, "label": st.sampled_from("xy"), "user": st.sampled_from("abcdefg")}
)
BOTH = [{"text": f"only {n}", "label": "xy"[n % 2], "user": f"own {n}"} for n in range(30)]


@given(st.lists(row, max_size=40), st.lists(row, max_size=8), st.sampled_from([1, 4]))
@settings(deadline=None, max_examples=15, suppress_health_check=list(HealthCheck))
def test_groups_and_texts_are_on_one_side(train: list[Row], test: list[Row], buckets: int) -> None:
    folder = Path(tempfile.mkdtemp())
    try:
        manifest, dealt = prepare_rows(
            folder,
            {"train": [*train, *BOTH], "test": [*test, {**BOTH[0], "text": "own"}]},
            buckets,
            validation="40%",
            split={"by": "group", "column": "user"},
        )
    finally:
        shutil.rmtree(folder)
    for key in ("user", "text"):
        sides = [{each[key] for each in rows} for rows in dealt.values()]
        assert sum(map(len, sides)) == len(set.union(*sides))
    report = manifest.report
    kept = sum(info.rows for info in manifest.splits.values())
    assert len(train) + len(BOTH) + len(test) + 1 == report.rows_in
    assert report.rows_in == kept + report.duplicates + sum(report.dropped.values())
    assert report.dropped["group also in test"] >= 1
    assert report.contamination["train rows of groups in test"] >= 1


@given(st.lists(st.integers(0, 30), min_size=20, max_size=60), st.sampled_from([1, 4]))
@settings(deadline=None, max_examples=15, suppress_health_check=list(HealthCheck))
def test_later_rows_are_held_out(times: list[int], buckets: int) -> None:
    times = [*times, 100, 101, -1, -2, -3, -4, -5, -6]
    train = [
        {"text": f"text {n}", "label": "xy"[n % 2], "when": str(when)}
        for n, when in enumerate(times)
    ]
    folder = Path(tempfile.mkdtemp())
    try:
        manifest, dealt = prepare_rows(
            folder,
            {"train": train},
            buckets,
            test=2 / len(times),
            split={"by": "time", "column": "when"},
        )
    finally:
        shutil.rmtree(folder)
    assert sorted(each["when"] for each in dealt["test"]) == ["100", "101"]
    assert manifest.splits["train"].rows == len(times) - 2
