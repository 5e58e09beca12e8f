"""What verify takes of a recipe, and how it judges three runs; whole on a cluster in end_to_end."""

import math
from pathlib import Path

import pytest

from configs.records import Attempt, Evaluated, Ledger, Proof, Record, Step
from configs.source_sections import source_entries
from launcher.cli import run
from launcher.verification import Trial, agreement, findings, small_recipe
from tests.cluster.test_deletion import make_run
from tests.launcher.fake_cluster import FakeCluster, write_recipe
from tests.launcher.made_up_run import STORY, ended
from tests.recipes import tiny_recipe


def step(number: int, loss: float, attempt: int = 1) -> Step:
    return Step(
        time=0.0,
        attempt=attempt,
        step=number,
        total_steps=3,
        epoch=1.0,
        loss=loss,
        learning_rate=0.1,
        grad_norm=1.0,
        rows_per_s=1.0,
        tokens_per_s=1.0,
        data_wait=0.0,
        padding=0.0,
        seconds=0.1,
    )


def attempt(number: int) -> Attempt:
    return Attempt(
        time=0.0,
        attempt=number,
        num_workers=2,
        nodes=("one", "two"),
        resumed_from_step=2 if number > 1 else None,
        reason="worker 0 on one died" if number > 1 else "submitted",
    )


def ledger(id_sum: str = "0f", *, ok: bool = True) -> Ledger:
    return Ledger(
        time=0.0, step=3, epoch=1, split="train", rows=12, expected_rows=12, id_sum=id_sum, ok=ok
    )


def evaluation(loss: float) -> Evaluated:
    return Evaluated(
        time=0.0,
        step=3,
        epoch=1.0,
        split="validation",
        rows=4,
        metrics={"loss": loss},
        per_class={},
        best=False,
    )


def proof(*, unchanged: bool = True, moved: int = 5) -> Proof:
    return Proof(
        time=0.0,
        step=1,
        phase=1,
        num_phases=1,
        trainable_parameters=10,
        frozen_parameters=1_000,
        new_tensors=5,
        moved_tensors=moved,
        frozen_unchanged=unchanged,
    )


def trial(name: str, workers: int, *records: Record) -> Trial:
    return Trial(name, workers, records)


WHOLE = trial("all", 2, attempt(1), proof(), step(1, 0.5), step(2, 0.25), evaluation(1.0), ledger())
ALONE = trial("alone", 1, step(1, 0.5), step(2, 0.25 * (1 + 1e-7)), ledger())
KILLED = trial(
    "killed",
    2,
    attempt(1),
    step(1, 0.5),
    step(2, 7.0),  # taken again by the next attempt, which counts
    attempt(2),
    step(2, 0.25, attempt=2),
    evaluation(1.0),
    ledger(),
)
BEGUN_ANEW = attempt(2).model_copy(update={"resumed_from_step": None})


def test_digits() -> None:
    assert agreement({1: 0.5, 2: 0.3}, {1: 0.5, 2: 0.3}) == 16
    assert agreement({1: 2.0}, {1: 2.0 * (1 - 1e-5)}) == pytest.approx(5)
    assert agreement({1: 1.0}, {1: 3.0}) == pytest.approx(-math.log10(2 / 3))
    assert agreement({1: 1.0}, {1: 1.0, 2: 1.0}) == 0  # a step is missing
    assert agreement({1: math.nan}, {1: math.nan}) == 0
    assert agreement({}, {}) == 0


def test_runs_that_agree() -> None:
    found = list(findings(WHOLE, [ALONE, KILLED], "fp32"))
    assert [finding.label for finding in found] == ["machines", "a kill", "frozen", "ledger"]
    assert all(finding.holds for finding in found)
    machines, kill, frozen, rows = (finding.text for finding in found)
    assert machines == "1 worker and 2 workers: losses agree to 7.0 digits over 2 steps"
    assert kill == (
        "worker 0 on one died, attempt 2 went on from step 2: same bits in all losses and metrics"
    )
    assert frozen == "1,000 parameters keep every bit; 5 of 5 tensors that learn have moved"
    assert rows == "1 x 12 rows, each row once in all 3 runs"


@pytest.mark.parametrize(
    ("many", "others", "wrong"),
    [
        (WHOLE, [trial("alone", 1, step(1, 0.5), step(2, 0.2501), ledger())], "machines"),
        (WHOLE, [trial("killed", 2, *WHOLE.records)], "a kill"),  # nobody died
        (WHOLE, [trial("killed", 2, *WHOLE.records, BEGUN_ANEW)], "a kill"),
        (WHOLE, [trial("killed", 2, *KILLED.records[:-2], evaluation(1.1), ledger())], "a kill"),
        (WHOLE, [trial("killed", 2, *KILLED.records, step(2, 0.2500001, 2))], "a kill"),
        (trial("all", 2, *WHOLE.records, proof(unchanged=False)), [KILLED], "frozen"),
        (trial("all", 2, *WHOLE.records, proof(moved=4)), [KILLED], "frozen"),
        (WHOLE, [trial("killed", 2, *KILLED.records[:-1], ledger("0e"))], "ledger"),
        (trial("all", 2, *WHOLE.records[:-1], ledger(ok=False)), [], "ledger"),
        (trial("all", 2, *WHOLE.records[:-1]), [], "ledger"),
    ],
)
def test_what_must_not_be(many: Trial, others: list[Trial], wrong: str) -> None:
    found = [finding.label for finding in findings(many, others, "fp32") if not finding.holds]
    assert found == [wrong]


def test_the_recipe_becomes_small(tmp_path: Path) -> None:
    recipe = tiny_recipe(
        tmp_path,
        name="a" * 60,
        epochs=20,
        early_stopping={"metric": "loss"},
        checkpoint={"every_epochs": 3},
        zero={"stage": 3},
    )
    small = small_recipe(recipe, 30)
    (train,), (validation,) = (
        source_entries(split) for split in (small.data.train, small.data.validation)
    )
    assert (train.max_rows, validation.max_rows, small.data.test) == (30, 8, None)
    assert (small.epochs, small.early_stopping, small.checkpoint.every_steps) == (1, None, 2)
    assert len(small.name) <= 47
    # What is proved is the person's own: model, task, batch, ZeRO stage.
    for section in ("model", "task", "optimizer", "batch", "zero", "freezing", "seed"):
        assert getattr(small, section) == getattr(recipe, section)


def test_a_schedule_keeps_as_many_epochs_as_it_needs(tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path, epochs=9, freezing={"preset": "lp_ft"})
    assert 1 < small_recipe(recipe, 30).epochs < 9


def test_runs_of_a_verification_go_and_a_persons_files_stay(tmp_path, monkeypatch):
    from launcher.verification import clean_up

    storage = str(tmp_path / "runs")
    folders = [make_run(storage, name) for name in ("v-all", "v-alone")]
    other = make_run(storage, "v")
    (folders[1] / "notes.txt").write_text("theirs")
    lines = clean_up(storage, ["v-all", "v-alone", "v-killed"])
    said = " ".join(part for line in lines for part in line.parts)
    assert "2 runs" in said
    assert f"{folders[1]}/notes.txt" in said
    assert "v-killed stay" in said
    assert not folders[0].exists()
    assert [path.name for path in folders[1].iterdir()] == ["notes.txt"]
    assert (other / "run.json").exists()


def verify(
    folder: Path, cluster: FakeCluster, capsys: pytest.CaptureFixture[str], *words: str
) -> tuple[int, str]:
    path = write_recipe(folder)
    code = run(["verify", str(path), *words], cluster.client())
    return code, capsys.readouterr().err


def test_runs_that_disagree_or_end_badly_are_left_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("THAW_HOME", str(tmp_path / "home"))
    # All three runs tell the same story, in which nobody is killed.
    cluster = FakeCluster()
    code, said = verify(tmp_path, cluster, capsys)
    assert code == 1
    assert "a kill: no worker died: too few steps" in said
    assert said.rstrip().endswith("Do not trust this set-up")
    names = [recipe.name for _, _, recipe, _ in cluster.submitted]
    assert all(name in said for name in names)

    code, said = verify(tmp_path, FakeCluster(STORY[:-1]), capsys)
    assert code == 4
    assert "ended without saying how. See `thaw logs small-verify-all-" in said

    failed = ended("failed", exit_code=3, error="DataError", message="row 3 has no label")
    code, said = verify(tmp_path, FakeCluster((failed,)), capsys)
    assert code == 4
    assert "failed: row 3 has no label" in said

    code, said = verify(tmp_path, FakeCluster(), capsys, "--alone", "3")
    assert code == 2
    assert "--alone 3: 8 lanes cannot be divided among 3 workers. Use a number" in said
