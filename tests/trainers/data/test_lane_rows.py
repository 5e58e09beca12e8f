"""A lane's rows: as they are or drawn, with the ids that the ledger expects."""

from pathlib import Path

import numpy as np

from configs.balance_sections import Balance
from tests.trainers.data import words
from tests.trainers.data.test_batches import make_split
from trainers.data.batches import read_steps
from trainers.data.class_balance import ClassRates, plan_rates
from trainers.data.lane_rows import open_lanes
from trainers.data.lanes import LanePlan
from trainers.data.store import Split


def rates_of(split: Split, method: str, lanes: int) -> ClassRates:
    counts = split.info.class_counts
    names = [str(label) for label in range(len(counts))]
    target = {name: 1.0 + place for place, name in enumerate(names)}
    balance = Balance.model_validate({"method": method, "target": target})
    rates = plan_rates(balance, names, counts, lanes)
    assert rates is not None
    return rates


def epoch_of(
    split: Split, rates: ClassRates, world_size: int, start: int = 0
) -> list[list[list[int]]]:
    """Row ids by step and lane."""
    plan = LanePlan(rates.num_rows, 4, 4, seed=3, shuffle=True)
    steps: list[dict[int, list[int]]] = [{} for _ in range(plan.steps_per_epoch - start)]
    for rank in range(world_size):
        lanes = open_lanes(split, plan, rank, world_size, (rates, 2))
        with read_steps(lanes, plan, words.collate, epoch=2, start_step=start) as stream:
            for step, microbatches in enumerate(stream):
                for each in microbatches:
                    steps[step][each.lane] = each.row_ids.tolist()
    return [[step[lane] for lane in range(4)] for step in steps]


def test_drawn_rows_are_the_same_at_every_world_size_and_after_a_resume(tmp_path: Path) -> None:
    split = make_split(tmp_path, 90)
    rates = rates_of(split, "oversample", 4)
    whole = epoch_of(split, rates, 1)
    assert whole == epoch_of(split, rates, 2) == epoch_of(split, rates, 4)
    assert whole[5:] == epoch_of(split, rates, 2, start=5)


def test_the_ledger_expects_what_is_fed(tmp_path: Path) -> None:
    split = make_split(tmp_path, 90)
    for method in ("oversample", "undersample"):
        rates = rates_of(split, method, 4)
        fed = [row for step in epoch_of(split, rates, 1) for lane in step for row in lane]
        plan = LanePlan(rates.num_rows, 4, 4, seed=3, shuffle=True)
        lanes = open_lanes(split, plan, 0, 1, (rates, 2))
        assert len(fed) == rates.num_rows
        assert sum(fed) % 2**64 == sum(lane.id_sum() for lane in lanes) % 2**64
        if method == "oversample":
            ids = split.column("row_id", 0, 90)
            assert set(fed) == set(ids.tolist())
            assert len(fed) > 90
        else:
            assert len(set(fed)) == len(fed) < 90


def test_lanes_read_their_own_range_of_the_split(tmp_path: Path) -> None:
    split = make_split(tmp_path, 90)
    plan = LanePlan(90, 4, 4, seed=3, shuffle=True)
    (lane,) = open_lanes(split, plan, 3, 4)
    numbers = np.array([89, 70])
    assert lane.read(numbers)["row_id"].to_pylist() == split.read(numbers)["row_id"].to_pylist()
    assert lane.lengths(70, 75).tolist() == split.lengths(70, 75).tolist()
    assert lane.read_any().num_rows == 1
