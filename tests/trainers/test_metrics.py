"""Scores against scikit-learn, and the same bits however the rows are divided over ranks."""

import numpy as np
import pytest
import torch
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    confusion_matrix,
    matthews_corrcoef,
    precision_recall_fscore_support,
    roc_auc_score,
)
from torchmetrics.functional.classification import multiclass_calibration_error

from configs.metric_names import ONE_LABEL
from tests.on_ranks import on_ranks
from trainers.metrics import NUM_THRESHOLDS, Calibration, ClassScores, score
from trainers.tasks.judging import Scored
from trainers.tasks.one_label import Answer

NAMES = tuple(f"label-{i}" for i in range(7))


def made_rows(rows: int = 211) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits and labels; label 5 has no rows and label 6 is never predicted."""
    source = torch.Generator().manual_seed(3)
    labels = torch.randint(0, 7, (rows,), generator=source)
    labels[labels == 5] = 6
    logits = torch.randn(rows, 7, generator=source)
    logits[torch.arange(rows), labels] += 1.0
    logits[:, 6] = -50.0
    return logits, labels


def scored(logits: torch.Tensor, labels: torch.Tensor, batch: int) -> Scored:
    scores = ClassScores(NAMES, "cpu")
    for start in range(0, len(labels), batch):
        rows = slice(start, start + batch)
        scores.update(Answer(logits[rows].softmax(-1), labels[rows]), labels[rows] != -100)
    return scores.compute()


def test_metrics_are_those_of_scikit_learn() -> None:
    logits, labels = made_rows()
    found, predicted = scored(logits, labels, batch=10), logits.argmax(-1)
    classes = list(range(7))
    assert tuple(found.metrics) == ONE_LABEL
    assert found.metrics["accuracy"] == accuracy_score(labels, predicted)
    for average in ("macro", "micro", "weighted"):
        _, _, f1, _ = precision_recall_fscore_support(
            labels, predicted, labels=classes, average=average, zero_division=0
        )
        assert found.metrics[f"{average}_f1"] == pytest.approx(f1, rel=1e-14)
    per_class = precision_recall_fscore_support(labels, predicted, labels=classes, zero_division=0)
    assert found.metrics["macro_precision"] == pytest.approx(per_class[0].mean(), rel=1e-14)
    assert found.metrics["macro_recall"] == pytest.approx(per_class[1].mean(), rel=1e-14)
    for i, name in enumerate(NAMES):
        expected = dict(
            zip(("precision", "recall", "f1", "support"), (a[i] for a in per_class), strict=True)
        )
        assert found.per_class[name] == pytest.approx(expected, rel=1e-14)
    assert np.array_equal(found.confusion, confusion_matrix(labels, predicted, labels=classes))


def test_correlation_areas_and_calibration_are_those_of_other_libraries() -> None:
    logits, labels = made_rows()
    found, probabilities = scored(logits, labels, batch=10).metrics, logits.softmax(-1)
    assert found["mcc"] == pytest.approx(matthews_corrcoef(labels, logits.argmax(-1)), rel=1e-13)
    there = [label for label in range(7) if label != 5]  # no row has label 5
    roc = [roc_auc_score(labels == n, probabilities[:, n]) for n in there]
    assert found["roc_auc"] == pytest.approx(np.mean(roc), rel=1e-13)
    precision = [average_precision_score(labels == n, probabilities[:, n]) for n in there]
    assert found["average_precision"] == pytest.approx(np.mean(precision), rel=1e-13)
    theirs = multiclass_calibration_error(probabilities, labels, num_classes=7, n_bins=15)
    assert found["ece"] == pytest.approx(theirs.item(), rel=1e-5)


def test_a_bin_ends_with_its_upper_bound() -> None:
    calibration = Calibration("cpu")
    # Sure and right, and half right at 1/2, which is within bin 8 of 15: nothing is off there. At
    # 0.9, never right, one row of five is off by 0.9.
    calibration.update(torch.tensor([1.0, 1.0, 0.5, 0.5]), torch.tensor([True, True, True, False]))
    assert calibration.compute() == 0.0
    calibration.update(torch.tensor([0.9]), torch.tensor([False]))
    # With the two sure ones in the last bin, 14/15 to 1; 0.9 is in the one below it.
    assert calibration.compute() == pytest.approx(0.9 / 5, rel=1e-7)


def test_pr_counts_are_counted_at_each_threshold() -> None:
    logits, labels = made_rows()
    probabilities = logits.softmax(-1)
    found = scored(logits, labels, batch=64).pr_counts
    assert found.shape == (NUM_THRESHOLDS, 7, 2, 2)
    for index in (0, 17, 50, 100):
        reaches = probabilities >= torch.linspace(0, 1, NUM_THRESHOLDS)[index]
        for name in range(7):
            is_class = labels == name
            assert found[index, name, 1, 1] == (reaches[:, name] & is_class).sum()
            assert found[index, name, 0, 1] == (reaches[:, name] & ~is_class).sum()
            assert found[index, name].sum() == len(labels)


def test_rows_that_are_not_counted_are_left_out() -> None:
    logits, labels = made_rows(20)
    padded = torch.cat([labels, torch.full((3,), -100)])
    with_empty = torch.cat([logits, torch.zeros(3, 7)])
    assert np.array_equal(
        scored(with_empty, padded, batch=20).confusion, scored(logits, labels, 20).confusion
    )
    nothing = scored(torch.zeros(2, 7), torch.full((2,), -100), batch=1)
    assert nothing.confusion.sum() == 0
    assert np.isnan([*nothing.metrics.values()]).all()
    assert tuple(nothing.metrics) == ONE_LABEL


def test_logits_within_0_and_1_are_still_logits() -> None:
    """torchmetrics alone would take such a batch for probabilities; its curves would differ."""
    logits = torch.tensor([[0.1, 0.9, 0.2, 0.0, 0.0, 0.0, 0.0]])
    counts = scored(logits, torch.tensor([1]), batch=1).pr_counts
    probability = logits.softmax(-1)[0, 1].item()
    reached = int(counts[:, 1, 1, 1].sum())
    assert reached == int(probability * (NUM_THRESHOLDS - 1)) + 1


def test_all_right_and_all_wrong() -> None:
    curves = np.zeros((1, 2, 2, 2), np.int64)
    right = score(("a", "b"), np.array([[3, 0], [0, 5]]), curves)
    assert set(right.metrics.values()) == {1.0}
    wrong = score(("a", "b"), np.array([[0, 3], [5, 0]]), curves)
    assert {name: value for name, value in wrong.metrics.items() if value} == {"mcc": -1.0}


def score_share(rank: int, _world_size: int, divided: list[tuple[int, int]]) -> Scored:
    logits, labels = made_rows()
    rows = slice(*divided[rank])
    return scored(logits[rows], labels[rows], batch=9)


@pytest.mark.parametrize("divided", [[(0, 37), (37, 211)], [(0, 211), (211, 211)]])
def test_uneven_ranks_give_the_bits_of_one(divided: list[tuple[int, int]]) -> None:
    alone = scored(*made_rows(), batch=50)
    for found in on_ranks(2, score_share, divided):
        assert found.metrics == alone.metrics
        assert found.per_class == alone.per_class
        assert np.array_equal(found.confusion, alone.confusion)
        assert np.array_equal(found.pr_counts, alone.pr_counts)
