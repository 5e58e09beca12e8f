"""What must hold for every task, proved by whole runs; what is peculiar to one is its test's."""

import re
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from configs.records import Exported, Ledger
from configs.schema import Recipe
from tests.on_ranks import on_ranks
from tests.trainers.runs import (
    Told,
    all_or,
    assert_same_bits,
    export_of,
    is_full,
    read_export,
    run_all,
    stop_and_resume,
)
from trainers.data.preparation import prepare
from trainers.predictor import Predictor


@dataclass(frozen=True)
class Proved:
    """A recipe whose runs all agreed."""

    recipe: Recipe
    told: Told
    """Of ZeRO stage 0 on one rank."""
    predictions: dict[str, list[Any]]


def prove_task(recipe: Recipe, cells: pa.Table, *, stop: int = 3, brief: bool = False) -> Proved:
    """Train, evaluate, export, predict and resume a recipe; all ways must give the same.

    On two ranks ZeRO stages 2 and 3 (all with THAW_TESTS=full), stage 0 on one rank, and stage 2
    stopped before step `stop` and resumed; where it is `brief`, for what differs little from
    another proof, stages 3 and 0 alone unless THAW_TESTS=full. Losses and metrics agree to a
    relative 1e-5; what was resumed has the bits of what was not. `cells` are rows of text cells to
    predict.
    """
    brief = brief and not is_full()
    data_dir = prepare(recipe, recipe.storage).data_dir
    recipes = [_staged(recipe, stage, "") for stage in ((3,) if brief else all_or(2, 3))]
    again = None if brief else _staged(recipe, 2, "-again")
    two, resumed = on_ranks(2, _on_two, recipes, again, data_dir, stop, seconds=250)[0]
    alone = _staged(recipe, 0, "-one")
    (one,) = on_ranks(1, run_all, [alone], data_dir, 1, 0, seconds=150)[0]
    for told in (*two, one):
        _assert_whole(told)
        assert told.losses() == pytest.approx(one.losses(), rel=1e-5)
        assert told.ended.metrics == pytest.approx(one.ended.metrics, rel=1e-5, abs=1e-7)
    if again is not None:
        whole = next(place for place, each in enumerate(recipes) if each.zero.stage == 2)
        stopped, ended = resumed
        assert (stopped.ended.state, ended.ended.state) == ("stopped", "succeeded")
        assert stopped.losses() | ended.losses() == two[whole].losses()
        assert_same_bits(read_export(again), read_export(recipes[whole]))
    _follow_card(export_of(alone))
    return Proved(alone, one, _predictions(alone, cells))


def _follow_card(folder: Path) -> None:
    """Run the code that the model card shows, from the folder it speaks of."""
    shown = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(), re.S)[0]
    if "sentence_transformers" in shown and not find_spec("sentence_transformers"):
        return
    names: dict[str, Any] = {}
    exec(shown.replace("path/to/this/folder", str(folder)), names)
    assert {"pipe", "vectors", "texts"} & set(names)


def _staged(recipe: Recipe, stage: int, suffix: str) -> Recipe:
    zero = recipe.zero.model_copy(update={"stage": stage})
    return recipe.model_copy(update={"name": f"{recipe.name}-z{stage}{suffix}", "zero": zero})


def _on_two(
    rank: int,
    world_size: int,
    recipes: list[Recipe],
    again: Recipe | None,
    data_dir: str,
    stop: int,
) -> tuple[list[Told], tuple[Told, ...]]:
    told = run_all(rank, world_size, recipes[:-1], data_dir, 1, 0)
    resumed: tuple[Told, ...] = ()
    if again is not None:
        (resumed,) = stop_and_resume(rank, world_size, [again], data_dir, [stop])
    # Stage 3 last: DeepSpeed puts a linear of its own, which rounds otherwise, in torch's place for
    # as long as the process lives.
    return told + run_all(rank, world_size, recipes[-1:], data_dir, 1, 0), resumed


def _assert_whole(told: Told) -> None:
    assert told.ended.state == "succeeded"
    ledgers = [r for r in told.records if isinstance(r, Ledger)]
    assert ledgers
    assert all(ledger.ok for ledger in ledgers)
    (exported,) = [r for r in told.records if isinstance(r, Exported)]
    assert exported.max_difference < 1e-4  # of logits that may be tens


def _predictions(recipe: Recipe, cells: pa.Table) -> dict[str, list[Any]]:
    """Predict with an export, all rows at once and one by one: padding must change nothing."""
    folder = str(export_of(recipe))
    together = Predictor(folder, microbatch_size=32)(cells)
    alone = Predictor(folder, microbatch_size=1)(cells)
    assert together.keys() == alone.keys()
    for name, values in together.items():
        assert len(values) == len(cells)
        for value, other in zip(values, alone[name], strict=True):
            is_text = isinstance(value, str) or (
                isinstance(value, list) and all(isinstance(part, str | None) for part in value)
            )
            assert other == (value if is_text else pytest.approx(value, abs=1e-5))
    return together
