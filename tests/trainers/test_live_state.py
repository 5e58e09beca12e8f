"""What goes into a commit: copies of what learns, and what never changes as it is."""

from pathlib import Path

import torch

from configs.schema import Recipe
from tests.on_ranks import on_ranks
from tests.recipes import tiny_recipe
from trainers.data.preparation import prepare
from trainers.live_state import copy_state, frozen_part
from trainers.partitions import prime
from trainers.place import Place
from trainers.session import Session


def _take_out(rank: int, world_size: int, recipe: Recipe, data_dir: str) -> dict[str, object]:
    place = Place(rank, world_size, rank, f"{recipe.storage}/run", data_dir, 1, "cpu")
    session = Session(recipe, place, lambda record: None)
    prime(session.engine, session._feed_once)
    never = frozen_part(session, "frozen.a01")
    assert never is not None
    part = copy_state(session, "step-00000000.a01")
    weights = {p.name: p for p in part.pieces if p.what == "weight"}
    before = {name: piece.values.clone() for name, piece in weights.items()}
    named = dict(session.model.named_parameters())
    with torch.no_grad():
        for parameter in named.values():
            parameter += 1.0
    shared = [named[p.name].data_ptr() == p.values.data_ptr() for p in never.pieces]
    answer = {
        "unmoved": all(weights[name].values.equal(values) for name, values in before.items()),
        "learns": set(weights) == {n for n, p in named.items() if p.requires_grad},
        "never": {p.name for p in never.pieces} == {n for n in named if n not in weights},
        "shared": all(shared),
        "manifests": (part.manifest.parameters.keys() == weights.keys(), part.manifest.fence),
    }
    session.close()
    return answer


def test_what_learns_is_copied_and_what_does_not_is_not(tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path, zero={"stage": 0}, freezing={"last": 1})
    data_dir = prepare(recipe, recipe.storage).data_dir
    (answer,) = on_ranks(1, _take_out, recipe, data_dir)
    assert answer == {
        "unmoved": True,
        "learns": True,
        "never": True,
        "shared": True,
        "manifests": (True, 1),
    }
