"""Whole runs of language models: every stage and rank alike, packed as unpacked, adapters too."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch

from configs.data_sections import Batch
from configs.errors import DataError
from configs.schema import Recipe
from tests.recipes import tiny_recipe
from tests.tiny_causal import CHATML, make_byte_tokenizer, make_causal_folder, make_prompts
from tests.trainers.runs import export_of, read_export, run_undisturbed
from tests.trainers.task_runs import prove_task
from trainers.data.preparation import prepare
from trainers.predictor import Predictor

GENERATION = {"max_new_tokens": 12, "evaluation_rows": 5}


def causal_recipe(folder: Path, name: str, family: str = "llama", **sections: Any) -> Recipe:
    """Make prompts and a tiny language model below a folder, and a recipe over them."""
    model = folder / family
    if not model.exists():
        make_causal_folder(model, family, CHATML if family.startswith("qwen") else None)
    for split, rows, seed in (("train", 41, 0), ("validation", 9, 1), ("test", 11, 2)):
        path = folder / f"{split}.jsonl"
        if not path.exists():
            make_prompts(path, rows, seed)
    values: dict[str, Any] = {
        "model": {"path": str(model)},
        "task": {"kind": "instruction_tuning", "generation": GENERATION},
        "data": {
            split: str(folder / f"{split}.jsonl") for split in ("train", "validation", "test")
        },
        "batch": {"lanes": 4, "microbatch_size": 3, "max_length": 64},
        "epochs": 1,
    }
    (folder / "model").mkdir(exist_ok=True)  # tiny_recipe's own, which nobody asks for
    return tiny_recipe(folder, name=name, **{**values, **sections})


@pytest.mark.proof
@pytest.mark.parametrize("family", ["llama", "gpt2", "qwen2"])
def test_instruction_tuning_is_exact_packed_and_cut(tmp_path: Path, family: str) -> None:
    packed = {"packing": True, "max_length": 40 if family == "llama" else 64}
    recipe = causal_recipe(tmp_path, "packed", family, batch=packed)
    cells = pa.table({"prompt": ["red door 2?", "a longer prompt than that, white stone?", "?"]})
    proved = prove_task(recipe, cells, brief=family != "llama")
    metrics = proved.told.ended.metrics
    assert metrics["perplexity"] == pytest.approx(torch.tensor(metrics["loss"]).exp().item())
    assert 0 <= metrics["token_accuracy"] <= 1 and 0 <= metrics["exact_match"] <= 1
    assert len(proved.predictions["prediction"]) == 3


@pytest.mark.proof
@pytest.mark.parametrize("family", ["gpt2", "llama", "qwen3"])
def test_language_modeling_is_exact(tmp_path: Path, family: str) -> None:
    task = {"kind": "language_modeling", "text": "prompt"}
    recipe = causal_recipe(tmp_path, "plain", family, task=task)
    proved = prove_task(recipe, pa.table({"prompt": ["red", "green stone and"]}), brief=True)
    assert "exact_match" not in proved.told.ended.metrics


@pytest.mark.proof
def test_packed_and_with_adapters_as_they_should_be(tmp_path: Path) -> None:
    lora = {"freezing": {"lora": {"rank": 4}, "prefix_cache": "off"}}
    recipes = [
        # Packing goes well with microbatches by tokens.
        *(
            causal_recipe(tmp_path, name, "qwen3").model_copy(
                update={
                    "batch": Batch(lanes=4, microbatch_tokens=128, max_length=64, packing=packing)
                }
            )
            for name, packing in (("apart", False), ("packed", True))
        ),
        causal_recipe(tmp_path, "lora", "qwen3", activation_checkpointing=True, **lora),
        # Stage 3 last: what DeepSpeed changes in torch stays changed.
        *(_grown(tmp_path, stage) for stage in (0, 3)),
    ]
    runs = run_undisturbed(tmp_path, recipes)
    apart, together = runs.told["apart"], runs.told["packed"]
    assert together.losses() == pytest.approx(apart.losses(), rel=1e-5)
    weights = [read_export(recipe) for recipe in recipes]
    for name, weight in weights[0].items():
        torch.testing.assert_close(weights[1][name], weight, rtol=1e-4, atol=1e-5)
    folder = export_of(runs.recipes["lora"])
    adapter = json.loads((folder / "adapter" / "adapter_config.json").read_text())
    assert adapter["task_type"] == "CAUSAL_LM" and adapter["modules_to_save"] in (None, [])
    learned = [n for n in weights[0] if not weights[2][n].equal(_start(tmp_path / "qwen3")[n])]
    assert learned and all("proj" in name for name in learned)
    config = json.loads((folder / "config.json").read_text())
    assert config["use_cache"] is True
    ends = json.loads((folder / "generation_config.json").read_text())["eos_token_id"]
    assert ends == [0, 2]  # the end token, and that of the template's turns
    grown = [runs.told[f"grown-{stage}"] for stage in (0, 3)]
    assert grown[1].losses() == pytest.approx(grown[0].losses(), rel=1e-5)
    rows = [w["model.embed_tokens.weight"].shape[0] for w in weights]
    assert rows[3:] == [rows[0] + 2, rows[0] + 2]
    assert set(Predictor(str(folder))(pa.table({"prompt": ["red?"]}))) == {"prediction"}


def test_a_row_that_cannot_be_learnt_from_is_named(tmp_path: Path) -> None:
    recipe = causal_recipe(tmp_path, "refused", batch={"max_length": 8})
    with pytest.raises(DataError, match=r"rows cannot be used: .* leaves no room for an answer"):
        prepare(recipe, recipe.storage)


def _grown(folder: Path, stage: int) -> Recipe:
    """Ask for a model whose tokenizer has two tokens more than it; ZeRO-3 slices its embeddings."""
    path = folder / "grown"
    if not path.exists():
        make_causal_folder(path, "llama")
        tokenizer = make_byte_tokenizer()
        tokenizer.add_tokens(["red", "green"])
        tokenizer.save_pretrained(path)
    zero = {"zero_optimization": {"stage3_param_persistence_threshold": 1000}}
    sliced = {"stage": stage, "overrides": zero if stage == 3 else {}}
    return causal_recipe(folder, f"grown-{stage}", "grown", zero=sliced)


def _start(folder: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")
