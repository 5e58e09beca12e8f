"""Exported folders load with transformers alone and give the live model's logits."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer, pipeline

from configs.errors import CheckpointError, NotFoundError
from configs.schema import Model
from configs.task_sections import TextClassification
from tests.origin import NAMES, make_origin
from tests.tiny import make_model_folder
from trainers.export import check_export, read_export, save_export
from trainers.export_folder import write_mark
from trainers.tasks.pretrained import Head, build_pretrained
from trainers.tasks.tokenizer import load_tokenizer

AUTO = "AutoModelForSequenceClassification"
TASK = TextClassification(kind="text_classification")


def exported(tmp_path: Path, kind: str, dtype: torch.dtype = torch.float32) -> Any:
    """Export a tiny model; gives its folder, the model and inputs with their logits."""
    base = make_model_folder(tmp_path / "base", kind)
    model, _, _ = build_pretrained(AUTO, Model(path=str(base)), Head(NAMES))
    model.eval()
    state = {name: tensor.to(dtype) for name, tensor in model.state_dict().items()}
    tokenizer = load_tokenizer(Model(path=str(base)))
    folder = tmp_path / "export"
    save_export(folder, state, model, tokenizer, make_origin(base))
    inputs = {"input_ids": torch.tensor([[7, 8, 9]]), "attention_mask": torch.ones(1, 3).long()}
    with torch.no_grad():
        return folder, model, inputs, model(**inputs).logits


@pytest.mark.parametrize("kind", ["bert", "distilbert", "roberta", "gpt2"])
def test_the_folder_gives_the_same_logits(tmp_path: Path, kind: str) -> None:
    folder, model, inputs, logits = exported(tmp_path, kind)
    # Where the file puts a tensor in memory decides the order in which some kernels add.
    assert check_export(folder, inputs, logits) < 1e-7
    # A weight that is off shows.
    assert check_export(folder, inputs, logits + torch.tensor([0.0, 0.5, 0.0])) == pytest.approx(
        0.5, abs=1e-6
    )
    assert all(not parameter.is_meta for parameter in model.parameters())
    assert [path.suffix for path in folder.glob("*model*") if path.suffix != ".json"] == [
        ".safetensors"
    ]
    config = json.loads((folder / "config.json").read_text())
    assert config["id2label"] == {"0": "label-0", "1": "label-1", "2": "label-2"}
    assert config["label2id"] == {"label-0": 0, "label-1": 1, "label-2": 2}
    assert str(tmp_path) not in (folder / "config.json").read_text()


def test_the_folder_is_all_a_pipeline_needs(tmp_path: Path) -> None:
    folder, _, _, _ = exported(tmp_path, "bert")
    classify = pipeline("text-classification", model=str(folder), device="cpu")
    assert classify("the topic1a of")[0]["label"] in NAMES
    assert AutoTokenizer.from_pretrained(folder).model_max_length == 64


def test_half_precision_is_stored_as_such(tmp_path: Path) -> None:
    folder, _, inputs, logits = exported(tmp_path, "bert", torch.bfloat16)
    assert json.loads((folder / "config.json").read_text())["dtype"] == "bfloat16"
    # 8 bits of mantissa: a relative error of 2^-9 for each rounding.
    assert 0 < check_export(folder, inputs, logits) < 0.05


def test_a_lost_weight_does_not_go_unnoticed(tmp_path: Path) -> None:
    base = make_model_folder(tmp_path / "base")
    model, _, _ = build_pretrained(AUTO, Model(path=str(base)), Head(NAMES))
    state = model.state_dict()
    del state["classifier.bias"]
    tokenizer = load_tokenizer(Model(path=str(base)))
    with pytest.raises(RuntimeError, match=r"classifier\.bias"):
        save_export(tmp_path / "export", state, model, tokenizer, make_origin(base))


def test_an_export_tells_task_and_length(tmp_path: Path) -> None:
    folder, _, _, _ = exported(tmp_path, "bert")
    export = read_export(str(folder))
    assert export.task == TASK
    assert (export.label_names, export.max_length) == (NAMES, 32)
    with pytest.raises(NotFoundError, match="holds no exported model"):
        read_export(str(tmp_path / "absent"))
    write_mark(folder, "mine", 1)
    told = json.loads((folder / "thaw.json").read_text())
    assert read_export(str(folder)).mark is not None
    told["mark"]["whole"] = False
    (folder / "thaw.json").write_text(json.dumps(told))
    with pytest.raises(CheckpointError, match="is half of one export and half of another"):
        read_export(str(folder))
    (folder / "thaw.json").write_text("{")
    with pytest.raises(CheckpointError, match="damaged"):
        read_export(str(folder))
