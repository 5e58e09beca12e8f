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
from trainers.prefix_recording import Recorder
from trainers.session import Session
from trainers.strategy.prefix import Capture, Prefix, find_layout

LANES = 4
SHAPE = Shape("all", True, (32,), torch.float32)


def _record(
    rank: int, world_size: int, recipe: Recipe, data_dir: str, folder: str
) -> tuple[int, int, int, float]:
    place = Place(rank, world_size, rank, f"{recipe.storage}/{recipe.name}", data_dir, 1, "cpu")
    session = Session(recipe, place, lambda record: None)
    model, split, collate = session.model, session.open_split("train"), session.collate()
    alone, _ = collate(split.read(np.array([0])))
    layout = find_layout(model, lambda: model(**alone))
    assert layout is not None
    model.eval()
    fed = []

    def feed(inputs: dict[str, torch.Tensor]) -> object:
        fed.append(len(inputs["input_ids"]))
        return model(**inputs)

    capture = Capture(model, Prefix(layout, 1), stop=True)
    lanes = range(rank, LANES, world_size)
    with torch.no_grad():
        recorder = Recorder(capture, feed, collate, SHAPE, microbatch_size=3)
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
    return first, again, forwards, worst


def test_every_row_of_every_lane_is_recorded_once(tmp_path: Path) -> None:
    # 61 rows in 4 lanes: three of 15 rows and one of 16, which takes 6 passes of 3 rows, not 5.
    recipe = tiny_recipe(tmp_path)
    data_dir = prepare(recipe, recipe.storage).data_dir
    for first, again, forwards, worst in on_ranks(2, _record, recipe, data_dir, str(tmp_path)):
        assert (first, again, forwards) == (2, 0, 12)
        assert worst < 1e-5
    assert len(list(tmp_path.glob("train-*.arrow"))) == LANES


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

    recorder = Recorder(capture, feed, session.collate(), SHAPE, microbatch_size=3)
    target = Path(folder, "file" if rank else "folder")
    recorder.record(target, "train", split, range(rank, LANES, world_size), LANES)
    return recorder.problem is not None, len(fed)


def test_a_rank_that_cannot_write_goes_on_computing(tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path)
    data_dir = prepare(recipe, recipe.storage).data_dir
    (tmp_path / "file").write_text("no folder")
    assert on_ranks(2, _record_nowhere, recipe, data_dir, str(tmp_path)) == [
        (False, 12),
        (True, 12),
    ]
