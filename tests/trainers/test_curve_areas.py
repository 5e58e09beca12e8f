"""Areas under curves against scikit-learn, ties included, at any number of ranks."""

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, roc_auc_score

from tests.on_ranks import on_ranks
from trainers.curve_areas import CurveAreas, average_precision, roc_auc


def _made(rows: int = 97, classes: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    """Probabilities with many ties, and truth; no row is of the last class."""
    source = torch.Generator().manual_seed(1)
    truth = torch.rand(rows, classes, generator=source) < 0.3
    truth[:, -1] = False
    probabilities = torch.rand(rows, classes, generator=source) + 0.3 * truth
    return (probabilities * 8).round() / 16, truth


def _areas(rank: int, world_size: int, bounds: list[int], at_once: int = 10**6) -> dict[str, float]:
    probabilities, truth = _made()
    areas = CurveAreas(truth.shape[1], "cpu", at_once)
    mine = slice(bounds[rank], bounds[rank + 1])
    for some in zip(probabilities[mine].split(10), truth[mine].split(10), strict=True):
        areas.update(*some)
    return areas.compute()


def test_areas_are_those_of_scikit_learn_at_any_number_of_ranks() -> None:
    probabilities, truth = _made()
    roc = [roc_auc_score(truth[:, n], probabilities[:, n]) for n in range(4)]
    precision = [average_precision_score(truth[:, n], probabilities[:, n]) for n in range(4)]
    alone = _areas(0, 1, [0, 97])
    assert alone["roc_auc"] == pytest.approx(np.mean(roc), rel=1e-13)
    assert alone["average_precision"] == pytest.approx(np.mean(precision), rel=1e-13)
    assert on_ranks(2, _areas, [0, 97, 97]) == [alone, alone]
    assert on_ranks(3, _areas, [0, 20, 31, 97], 2 * 97) == [alone] * 3


def test_one_kind_of_rows_has_no_area() -> None:
    scores = np.array([0.5, 0.25], np.float32)
    for truth in (np.array([True, True]), np.array([False, False])):
        assert np.isnan(roc_auc(scores, truth))
    assert average_precision(scores, np.array([True, True])) == 1.0
    assert np.isnan(average_precision(scores, np.array([False, False])))
    areas = CurveAreas(2, "cpu")
    assert all(np.isnan(area) for area in areas.compute().values())
    assert "are undefined" in areas.remarks(["yes", "no"])[0]


def test_classes_that_cannot_be_ranked_are_left_out_and_named() -> None:
    areas = CurveAreas(4, "cpu")
    truth = torch.tensor([[1, 0, 1, 0], [0, 1, 1, 0]]).bool()
    areas.update(torch.tensor([[0.6, 0.5, 0.5, 0.5], [0.4, 0.5, 0.5, 0.5]]), truth)
    # The first class stands in order, of the second both rows are alike: (1 + 0.5) / 2; of a pair
    # that is alike the precision is a half: (1 + 0.5) / 2.
    assert areas.compute() == {"roc_auc": 0.75, "average_precision": 0.75}
    (remark,) = areas.remarks(["a", "b", "all", "none"])
    assert "leave out all, none: " in remark


def test_far_too_many_rows_are_not_kept() -> None:
    areas = CurveAreas(2**20, "cpu")
    rows = torch.zeros(1, 1).expand(300, 2**20)  # takes no memory
    areas.update(rows, rows)
    assert areas.compute() == {}
