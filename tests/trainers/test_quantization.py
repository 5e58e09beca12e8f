"""Four bits: what is loaded in them, and where they are refused; training in them needs CUDA."""

import sys
from pathlib import Path

import pytest
import torch
from transformers import AutoConfig, AutoModelForSequenceClassification

from configs.errors import RecipeError
from tests.tiny import make_model_folder
from trainers.quantization import four_bit_loading, require_cuda, whole_weight

AUTO = AutoModelForSequenceClassification


@pytest.mark.skipif(torch.cuda.is_available(), reason="says what is refused without CUDA")
def test_a_worker_without_cuda_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"bits 4 needs CUDA, but this worker has no such GPU"):
        require_cuda()


def test_a_worker_without_the_package_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    told = r"bits 4 needs the package bitsandbytes, .* Install thaw\[qlora\] on every node"
    with pytest.raises(RecipeError, match=told):
        require_cuda(lambda: True)


@pytest.mark.parametrize(
    ("kind", "outside"),
    [
        ("bert", ["bert.pooler.dense", "classifier"]),
        ("roberta", ["classifier.dense", "classifier.out_proj"]),
        ("distilbert", ["classifier", "pre_classifier"]),
    ],
)
def test_what_is_not_in_a_block_stays_whole(kind: str, outside: list[str], tmp_path: Path) -> None:
    config = AutoConfig.from_pretrained(make_model_folder(tmp_path / kind, kind))
    quantization = four_bit_loading(AUTO, config)["quantization_config"]
    assert quantization.load_in_4bit
    assert (quantization.bnb_4bit_quant_type, quantization.bnb_4bit_use_double_quant) == (
        "nf4",
        True,
    )
    assert quantization.bnb_4bit_compute_dtype == torch.bfloat16
    assert sorted(quantization.llm_int8_skip_modules) == outside


def test_a_weight_the_other_way_round_is_refused(tmp_path: Path) -> None:
    config = AutoConfig.from_pretrained(make_model_folder(tmp_path / "gpt2", "gpt2"))
    with pytest.raises(RecipeError, match="does not go with the Conv1D modules"):
        four_bit_loading(AUTO, config)


def test_a_weight_that_is_whole_is_left_alone() -> None:
    parameter = torch.nn.Parameter(torch.arange(4.0))
    assert whole_weight(parameter).data_ptr() == parameter.data_ptr()
