"""Runs on a small disk that is full, or a folder that is gone, while they are on."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from configs.errors import StorageError
from configs.records import Committed, Note, Record, Step, read_record
from configs.schema import Recipe
from tests.disks import bring_back, fill, small_disk, take_away
from tests.on_ranks import on_ranks
from tests.recipes import tiny_recipe
from tests.trainers.runs import assert_same_bits, read_export, run_all
from trainers.damage import find_damage
from trainers.data.preparation import prepare
from trainers.finetune import finetune
from trainers.manifest import list_commits
from trainers.place import Place

# 61 rows in 4 lanes are 16 rows in the longest; of 3 at a time 6 steps, in 2 epochs 12.
STEPS = 12
LIMIT_S = 60
# A commit at steps 2, 4, 6 ...: trouble begins behind the first and ends at the third.
BEGINS, ENDS = 4, 6


def _recipe(folder: Path, name: str, storage: Path, deadline_s: float = 100.0) -> Recipe:
    return tiny_recipe(
        folder,
        name=name,
        storage=str(storage),
        zero={"stage": 2},
        freezing={"last": 1},
        checkpoint={"every_steps": 2, "every_epochs": None, "deadline_s": deadline_s},
        evaluation={"every_epochs": None},
        tracking={"tensorboard": True},
    )


class Trouble:
    """What happens to a disk while a run is on."""

    def __init__(
        self,
        run_dir: Path,
        records: list[Record],
        begin: Callable[[], Path],
        end: Callable[[Path], None] | None = None,
    ) -> None:
        self._run_dir, self._records, self._begin, self._end = run_dir, records, begin, end
        self._asked = 0

    def __call__(self) -> bool:
        """Stand in for the request to stop, which rank 0 is asked for before each step."""
        self._asked += 1
        if self._asked == BEGINS:
            self._wait_for_first()
            made = self._begin()
            if self._end is not None:
                threading.Thread(target=self._end_later, args=(made,)).start()
        return False

    def _wait_for_first(self) -> None:
        """Wait until the first commit has nothing left to do."""
        folder = self._run_dir / "checkpoints" / "step-00000002.a01"
        limit = time.monotonic() + LIMIT_S
        while len([*folder.glob("*")]) != 3 or not (folder / "MANIFEST.json").exists():
            assert time.monotonic() < limit
            time.sleep(0.01)

    def _end_later(self, made: Path) -> None:
        """End the trouble once a person has heard of it and steps were taken all the same."""
        assert self._end is not None
        limit = time.monotonic() + LIMIT_S
        while time.monotonic() < limit and not (_late(self._records) and self._is_at(ENDS)):
            time.sleep(0.01)
        self._end(made)

    def _is_at(self, step: int) -> bool:
        return any(isinstance(r, Step) and r.step == step for r in self._records)


def _late(records: list[Record]) -> list[str]:
    return [r.text for r in records if isinstance(r, Note) and "is late" in r.text]


def _run(rank: int, world_size: int, recipe: Recipe, data_dir: str) -> tuple[str, list[Record]]:
    disk, run_dir = Path(recipe.storage), Path(recipe.storage, recipe.name)
    records: list[Record] = []
    troubles = {
        "full": Trouble(run_dir, records, lambda: fill(disk), Path.unlink),
        "full-for-good": Trouble(run_dir, records, lambda: fill(disk)),
        "gone": Trouble(
            run_dir,
            records,
            lambda: take_away(run_dir),
            lambda away: bring_back(run_dir, away),
        ),
    }
    trouble = troubles[recipe.name] if rank == 0 else lambda: False
    place = Place(rank, world_size, rank, str(run_dir), data_dir, 1, "cpu")
    try:
        return finetune(recipe, place, records.append, trouble).state, records
    except StorageError as error:
        return str(error), records


def _run_both(
    rank: int, world_size: int, recipes: list[Recipe], data_dir: str
) -> list[tuple[str, list[Record]]]:
    run_all(rank, world_size, recipes[:1], data_dir, 1, 0)
    return [_run(rank, world_size, recipe, data_dir) for recipe in recipes[1:]]


def _resume(rank: int, world_size: int, recipe: Recipe, data_dir: str) -> None:
    run_all(rank, world_size, [recipe], data_dir, 2, 0)


def _read(recipe: Recipe) -> list[Record]:
    text = Path(recipe.storage, recipe.name, "metrics.jsonl").read_text()
    return [read_record(line) for line in text.splitlines()]


def test_trouble_with_the_storage_costs_nothing_but_time(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "16m") as disk:
        twin = _recipe(tmp_path, "twin", tmp_path / "runs")
        full, gone = (_recipe(tmp_path, name, disk) for name in ("full", "gone"))
        data_dir = prepare(twin, str(tmp_path / "store")).data_dir
        told = on_ranks(2, _run_both, [twin, full, gone], data_dir)[0]
        for recipe, (state, records) in zip((full, gone), told, strict=True):
            assert state == "succeeded", recipe.name
            assert_same_bits(read_export(recipe), read_export(twin))
            (warning,) = _late(records)
            assert "step-00000004.a01 is late" in warning
            # Training went on meanwhile.
            places = {(type(r), r.step): n for n, r in enumerate(records) if hasattr(r, "step")}
            assert places[Step, ENDS] < places[Committed, BEGINS]
            # Nothing that was said is lost, and all of it is in its order.
            assert _read(recipe) == records
            assert [r.step for r in records if isinstance(r, Step)] == [*range(1, STEPS + 1)]
            committed = [r.step for r in records if isinstance(r, Committed)]
            assert committed == [*range(2, STEPS + 1, 2)]
            assert _scalars(recipe) == _scalars(twin), recipe.name
            _assert_no_half_file(Path(recipe.storage, recipe.name))


def _scalars(recipe: Recipe) -> list[tuple[int, float]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(Path(recipe.storage, recipe.name, "tensorboard")))
    events.Reload()
    return [(event.step, event.value) for event in events.Scalars("loss/train")]


def _assert_no_half_file(run_dir: Path) -> None:
    assert not [*run_dir.rglob("*.tmp")]
    for name in list_commits(str(run_dir)):
        assert find_damage(str(run_dir), name) == []


@pytest.mark.proof
@pytest.mark.slow
def test_a_disk_that_stays_full_ends_the_run_and_a_resume_goes_on(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "16m") as disk:
        twin = _recipe(tmp_path, "twin", tmp_path / "runs", deadline_s=1.0)
        full = _recipe(tmp_path, "full-for-good", disk, deadline_s=1.0)
        data_dir = prepare(twin, str(tmp_path / "store")).data_dir
        by_rank = on_ranks(2, _run_both, [twin, full], data_dir)
        run_dir = disk / full.name
        for ((said, _),) in by_rank:
            assert said.startswith("step-00000004.a01 could not be committed within")
            assert "the newest commit is step-00000002.a01" in said
            assert "No space left on device" in said
            assert said.endswith("Make room on the storage or repair it")
        assert list_commits(str(run_dir)) == ["step-00000002.a01"]
        _assert_no_half_file(run_dir)
        (disk / "filler").unlink()
        on_ranks(2, _resume, full, data_dir)
        assert_same_bits(read_export(full), read_export(twin))
        assert [r.step for r in _read(full) if isinstance(r, Step)] == [*range(1, STEPS + 1)]
