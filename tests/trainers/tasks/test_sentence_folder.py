"""What folders of sentence-transformers say is trained and exported, or refused."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from configs.errors import RecipeError
from configs.model_sections import Model
from configs.schema import Recipe
from tests.origin import make_origin
from tests.tiny import make_model_folder
from trainers.tasks.remarks import remarks_of
from trainers.tasks.sentence_embedding import SENTENCE_EMBEDDING
from trainers.tasks.sentence_folder import Vectors, kept_vectors, pooled, vectors_of

TEXTS = ["the topic1a of", "she was with the topic2b", "it"]


def say(
    folder: Path, *modules: str, prompts: dict[str, Any] | None = None, **pooling: Any
) -> Model:
    """Write the files of sentence-transformers beside a model."""
    kind = "sentence_transformers.models."
    paths = {"Transformer": "", "Pooling": "1_Pooling"}
    listed = [
        {"idx": n, "name": str(n), "path": paths.get(name, f"2_{name}"), "type": kind + name}
        for n, name in enumerate(modules)
    ]
    for each in listed:
        (folder / str(each["path"])).mkdir(parents=True, exist_ok=True)
    folder.mkdir(exist_ok=True)
    (folder / "modules.json").write_text(json.dumps(listed))
    (folder / "1_Pooling").mkdir(exist_ok=True)
    (folder / "1_Pooling/config.json").write_text(json.dumps(pooling))
    if prompts is not None:
        (folder / "config_sentence_transformers.json").write_text(json.dumps(prompts))
    return Model(path=str(folder))


WHOLE = ("Transformer", "Pooling", "Normalize")


def test_what_a_folder_says_is_read(tmp_path: Path) -> None:
    prompts = {"prompts": {"query": "ask: "}, "default_prompt_name": "query"}
    found = vectors_of(say(tmp_path, *WHOLE, prompts=prompts, pooling_mode_cls_token=True))
    assert found == Vectors("cls", True, {"query": "ask: "}, "query")
    assert "the state of its first token" in (found.remark() or "")
    found = vectors_of(say(tmp_path / "b", *WHOLE[:2], pooling_mode="lasttoken"))
    assert (found.pooling, found.has_length_1) == ("lasttoken", False)
    (tmp_path / "plain").mkdir()
    assert vectors_of(Model(path=str(tmp_path / "plain"))).remark() is None


@pytest.mark.parametrize(
    ("modules", "pooling", "prompts", "said"),
    [
        (WHOLE, {"pooling_mode_weightedmean_tokens": True}, None, "pools by weightedmean_tokens"),
        (
            WHOLE,
            {"pooling_mode_cls_token": True, "pooling_mode_max_tokens": True},
            None,
            "pools by cls_token with max_tokens",
        ),
        ((*WHOLE, "Dense"), {"pooling_mode": "mean"}, None, "also has Dense"),
        (("Transformer",), {"pooling_mode": "mean"}, None, "has no Pooling"),
        (
            WHOLE,
            {"pooling_mode": "mean", "include_prompt": False},
            {"prompts": {"a": "b"}, "default_prompt_name": "a"},
            "leaves the prompt out",
        ),
        (WHOLE, {"pooling_mode": "mean"}, {"default_prompt_name": "a"}, "which it lacks"),
    ],
)
def test_what_is_not_trained_here_is_refused(
    tmp_path: Path, modules: Any, pooling: Any, prompts: Any, said: str
) -> None:
    model = say(tmp_path, *modules, prompts=prompts, **pooling)
    with pytest.raises(RecipeError, match=said):
        vectors_of(model)


def test_padding_at_either_end_is_left_out_of_a_vector() -> None:
    states = torch.tensor([[[1.0], [4.0], [2.0], [9.0]], [[9.0], [9.0], [5.0], [3.0]]])
    mask = torch.tensor([[1, 1, 1, 0], [0, 0, 1, 1]])
    expected = {"cls": [1.0, 5.0], "lasttoken": [2.0, 3.0], "max": [4.0, 5.0]}
    expected["mean"] = [7 / 3, 4.0]
    for pooling, values in expected.items():
        assert pooled(states, mask, pooling).flatten().tolist() == pytest.approx(values)
        assert not pooled(states, torch.zeros_like(mask), pooling).any()


@pytest.mark.parametrize("pooling", ["cls_token", "lasttoken", "max_tokens"])
def test_the_export_gives_the_vectors_that_the_folder_gives(tmp_path: Path, pooling: str) -> None:
    library = pytest.importorskip("sentence_transformers", reason="the extra dev is not installed")
    import pyarrow as pa

    from trainers.export import save_export
    from trainers.predictor import Predictor

    base = make_model_folder(tmp_path / "base", "bert", spread=0.3)
    prompts = {"prompts": {"query": "with you ", "other": "it "}, "default_prompt_name": "query"}
    modules = WHOLE if pooling == "cls_token" else WHOLE[:2]
    settings = {f"pooling_mode_{pooling}": True, "word_embedding_dimension": 32}
    settings = {"pooling_mode_mean_tokens": False, **settings}
    model = say(base, *modules, prompts=prompts, **settings)
    origin = make_origin(base)
    values = origin.recipe.model_dump() | {"task": {"kind": "sentence_embedding"}}
    origin = type(origin)(Recipe.model_validate(values), origin.manifest, {})
    built, *_ = SENTENCE_EMBEDDING.build_model(model, origin.recipe.task, ())
    assert "each text begins with the prompt 'with you '" in remarks_of(built)[-1]
    assert kept_vectors(built).prompts == prompts["prompts"]
    tokenizer = SENTENCE_EMBEDDING.load_processor(model)
    save_export(tmp_path / "export", built.state_dict(), built, tokenizer, origin)
    ours = Predictor(str(tmp_path / "export"))(pa.table({"anchor": TEXTS}))["embedding"]
    for folder in (base, tmp_path / "export"):
        found = library.SentenceTransformer(str(folder), device="cpu").encode(TEXTS)
        torch.testing.assert_close(torch.tensor(found), torch.tensor(ours), rtol=0, atol=1e-5)


def test_a_folder_without_what_it_names_is_refused(tmp_path: Path) -> None:
    model = say(tmp_path, *WHOLE)
    (tmp_path / "1_Pooling" / "config.json").unlink()
    with pytest.raises(RecipeError, match=r"names 1_Pooling, which has no config\.json"):
        vectors_of(model)
