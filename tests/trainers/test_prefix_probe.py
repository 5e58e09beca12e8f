"""A few rows show which tokens a model reads behind its blocks."""

from pathlib import Path

import pytest
import torch

from configs.schema import Recipe
from tests.on_ranks import on_ranks
from tests.recipes import tiny_recipe
from tests.tiny import make_model_folder
from trainers.data.preparation import prepare
from trainers.place import Place
from trainers.prefix_probe import look_at
from trainers.session import Session
from trainers.strategy.prefix import Prefix, find_layout


def _look(
    rank: int, world_size: int, recipe: Recipe, data_dir: str
) -> list[tuple[str, list[list[bool]]]]:
    place = Place(rank, world_size, rank, f"{recipe.storage}/{recipe.name}", data_dir, 1, "cpu")
    session = Session(recipe, place, lambda record: None)
    layout = find_layout(session.model, lambda: session.model(**_inputs(session)))
    assert layout is not None
    found = []
    for depth in (2, 1):
        probe, shape = look_at(session, Prefix(layout, depth))
        assert shape.by_token
        assert shape.tail == (32,)
        assert shape.dtype == torch.float32
        assert probe.given.shape == (*probe.inputs["input_ids"].shape, 32)
        found.append((shape.kept, probe.given.any(-1).tolist()))
        # Looking leaves the model as it was.
        assert session.model.training
        assert session.engine.handle.training
    lengths = probe.lengths.tolist()
    assert lengths == probe.inputs["attention_mask"].sum(-1).tolist()
    return found


def _inputs(session: Session) -> dict[str, torch.Tensor]:
    import numpy as np

    inputs, _ = session.collate()(session.open_split("train").read(np.array([0])))
    return inputs


@pytest.mark.parametrize(("kind", "kept"), [("bert", "first"), ("gpt2", "last")])
def test_one_token_is_kept_where_the_head_reads_no_other(
    kind: str, kept: str, tmp_path: Path
) -> None:
    make_model_folder(tmp_path / "other", kind)
    recipe = tiny_recipe(
        tmp_path, model={"path": str(tmp_path / "other")}, freezing={"mode": "head"}
    )
    data_dir = prepare(recipe, recipe.storage).data_dir
    (behind, rows), (between, every) = on_ranks(1, _look, recipe, data_dir)[0]
    assert (behind, between) == (kept, "all")
    for row, whole in zip(rows, every, strict=True):
        length = sum(whole)
        assert whole == [place < length for place in range(len(whole))]
        assert [place for place, there in enumerate(row) if there] == [
            0 if kept == "first" else length - 1
        ]
