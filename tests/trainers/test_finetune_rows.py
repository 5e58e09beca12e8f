"""Runs whose epochs hold drawn, changed rows in microbatches by tokens: still one answer."""

from pathlib import Path

import pytest

from configs.data_sections import Batch
from configs.records import Ledger
from configs.schema import Recipe
from tests.on_ranks import on_ranks
from tests.recipes import tiny_recipe
from tests.trainers.runs import Told, run_all
from trainers.data.preparation import prepare

TARGET = {"label-0": 3, "label-1": 1, "label-2": 1}


def recipe(folder: Path, name: str) -> Recipe:
    made = tiny_recipe(
        folder,
        name=name,
        zero={"stage": 2},
        augmentation={"probability": 0.5, "mask": 0.3, "delete": 0.1},
        balance={"method": "oversample", "target": TARGET},
        loss={"label_smoothing": 0.1},
    )
    batch = Batch(lanes=4, max_length=32, microbatch_tokens=60)
    return made.model_copy(update={"batch": batch})


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Told]:
    """One run undisturbed on two ranks, one stopped there and resumed on one."""
    folder = tmp_path_factory.mktemp("rows")
    whole, halved = recipe(folder, "whole"), recipe(folder, "halved")
    data_dir = prepare(whole, whole.storage).data_dir
    undisturbed = on_ranks(2, run_all, [whole], data_dir, 1, 0, seconds=200)[0][0]
    first = on_ranks(2, run_all, [halved], data_dir, 1, 5, seconds=200)[0][0]
    second = on_ranks(1, run_all, [halved], data_dir, 2, 0, seconds=200)[0][0]
    joined = Told(second.ended, first.records + second.records)
    return {"whole": undisturbed, "halved": joined}


def test_the_ledger_holds_what_was_drawn(told: dict[str, Told]) -> None:
    for run in told.values():
        books = [r for r in run.records if isinstance(r, Ledger)]
        assert [book.epoch for book in books] == [1, 2]
        assert all(book.ok and book.rows == book.expected_rows > 61 for book in books)
        assert books[0].id_sum != books[1].id_sum


def test_stopped_and_resumed_on_one_rank_gives_the_same_losses(told: dict[str, Told]) -> None:
    assert len(told["whole"].losses()) > 8
    assert told["halved"].losses() == pytest.approx(told["whole"].losses(), rel=1e-5)
    assert told["halved"].ended.metrics == pytest.approx(told["whole"].ended.metrics, rel=1e-5)
