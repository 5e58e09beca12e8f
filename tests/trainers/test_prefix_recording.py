"""Lanes are recorded once, with as many forward passes on every rank."""

from pathlib import Path

import numpy as np
import torch

from configs.schema import Recipe
from tests.on_ranks import on_ranks
from tests.recipes import tiny_recipe
from trainers.data.lane_rows import lane_rows
from trainers.data.preparation import prepare
from trainers.data.recordings import Recording, Shape, lane_file
from trainers.place import Place
from trainers.prefix_recording import Recorder, cut_by_tokens
from trainers.session import Session
from trainers.strategy.prefix import Capture, Prefix, find_layout

LANES = 4
SHAPE = Shape("all", True, (32,), torch.float32)
MOST_TOKENS = 40


def _record(
    rank: int, world_size: int, recipe: Recipe, data_dir: str, folder: str
) -> tuple[int, int, list[tuple[int, ...]], float]:
    place = Place(rank, world_size, rank, f"{recipe.storage}/{recipe.name}", data_dir, 1, "cpu")
    session = Session(recipe, place, lambda record: None)
    model, split, collate = session.model, session.open_split("train"), session.collate()
    alone, _ = collate(split.read(np.array([0])))
    layout = find_layout(model, lambda: model(**alone))
    assert layout is not None
    model.eval()
    fed: list[tuple[int, ...]] = []

    def feed(inputs: dict[str, torch.Tensor]) -> object:
        fed.append(tuple(inputs["input_ids"].shape))
        return model(**inputs)

    capture = Capture(model, Prefix(layout, 1), stop=True)
    lanes = range(rank, LANES, world_size)
    with torch.no_grad():
        recorder = Recorder(capture, feed, collate, SHAPE, MOST_TOKENS)
        first = recorder.record(Path(folder), "train", split, lanes, LANES)
        forwards = len(fed)
        again = recorder.record(Path(folder), "train", split, lanes, LANES)
        assert (recorder.problem, len(fed)) == (None, forwards)
        worst = 0.0
        for lane in lanes:
            begin, end = lane_rows(split.info.rows, LANES, lane)
            path = lane_file(Path(folder), "train", (begin, end))
            recording = Recording(path, begin, SHAPE)
            for row in range(begin, end):
                inputs, _ = collate(split.read(np.array([row])))
                expected = capture.run(lambda given=inputs: model(**given))
                lengths = split.lengths(row, row + 1)
                found = recording.read(np.array([row]), lengths, int(lengths[0]))
                worst = max(worst, (found - expected).abs().max().item())
    return first, again, fed, worst


def test_every_row_of_every_lane_is_recorded_once(tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path)
    data_dir = prepare(recipe, recipe.storage).data_dir
    ranks = on_ranks(2, _record, recipe, data_dir, str(tmp_path))
    for first, again, fed, worst in ranks:
        assert (first, again) == (2, 0)
        assert worst < 1e-5
        assert max(rows * width for rows, width in fed) <= MOST_TOKENS
        assert max(rows for rows, _ in fed) > 1
    assert len(ranks[0][2]) == len(ranks[1][2])
    assert len(list(tmp_path.glob("train-*.arrow"))) == LANES


def test_pieces_are_as_long_as_may_be() -> None:
    lengths = np.array([3, 3, 4, 5, 5, 30], np.int32)
    # 3 x 4 = 12 tokens, 2 x 5 = 10; the longest row is longer than a piece may be.
    assert cut_by_tokens(lengths, 12) == [0, 3, 5, 6]
    assert cut_by_tokens(lengths, 1) == [0, 1, 2, 3, 4, 5, 6]
    assert cut_by_tokens(lengths[:0], 12) == [0]
    # Rows without a length count as one token.
    assert cut_by_tokens(np.zeros(5, np.int32), 2) == [0, 2, 4, 5]


def _record_nowhere(
    rank: int, world_size: int, recipe: Recipe, data_dir: str, folder: str
) -> tuple[bool, int]:
    place = Place(rank, world_size, rank, f"{recipe.storage}/{recipe.name}", data_dir, 1, "cpu")
    session = Session(recipe, place, lambda record: None)
    model, split = session.model.eval(), session.open_split("train")
    alone, _ = session.collate()(split.read(np.array([0])))
    layout = find_layout(model, lambda: model(**alone))
    assert layout is not None
    capture = Capture(model, Prefix(layout, 1), stop=True)
    fed: list[int] = []

    def feed(inputs: dict[str, torch.Tensor]) -> object:
        fed.append(1)
        return model(**inputs)

    recorder = Recorder(capture, feed, session.collate(), SHAPE, most_tokens=1)
    target = Path(folder, "file" if rank else "folder")
    recorder.record(target, "train", split, range(rank, LANES, world_size), LANES)
    return recorder.problem is not None, len(fed)


def test_a_rank_that_cannot_write_goes_on_computing(tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path)
    data_dir = prepare(recipe, recipe.storage).data_dir
    (tmp_path / "file").write_text("no folder")
    # Passes of one row: lanes 0 and 1 have 15 rows each, lanes 2 and 3 have 15 and 16.
    assert on_ranks(2, _record_nowhere, recipe, data_dir, str(tmp_path)) == [
        (False, 31),
        (True, 31),
    ]
