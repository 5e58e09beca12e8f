"""Which modules get an adapter, what that makes of the model, and what is refused."""

import math
from pathlib import Path

import pytest
import torch
from torch import nn
from transformers import (
    AutoModelForSequenceClassification,
    MambaConfig,
    MambaForCausalLM,
    PreTrainedModel,
)

from configs.adapter_sections import Lora
from configs.errors import RecipeError
from configs.freezing_sections import Freezing
from tests.tiny import make_model_folder
from trainers.model import draw_new_parameters
from trainers.strategy.adapters import adapter_part, add_adapters, find_targets
from trainers.strategy.phases import choose_phases

IN_A_BLOCK = {"bert": 6, "roberta": 6, "distilbert": 6, "gpt2": 4}
"""Linear modules of a block: query, key, value, output and two of the feed-forward; GPT-2 has the
first three in one."""


def _model(folder: Path, kind: str = "bert") -> PreTrainedModel:
    path = make_model_folder(folder / kind, kind=kind, num_labels=3)
    return AutoModelForSequenceClassification.from_pretrained(path).eval()


def _head(model: PreTrainedModel) -> frozenset[str]:
    base = f"{model.base_model_prefix}."
    return frozenset(n for n, _ in model.named_parameters() if not n.startswith(base))


@pytest.mark.parametrize("kind", sorted(IN_A_BLOCK))
def test_auto_takes_every_linear_module_of_the_blocks(kind: str, tmp_path: Path) -> None:
    model = _model(tmp_path, kind)
    targets = find_targets(model, "auto", _head(model))
    assert len(targets) == 2 * IN_A_BLOCK[kind]
    assert len({name.rpartition(".0.")[0] for name in targets if ".0." in name}) == 1
    kinds = {type(model.get_submodule(name)).__name__ for name in targets}
    assert kinds == {"Conv1D" if kind == "gpt2" else "Linear"}


def test_names_take_what_ends_with_them_part_by_part(tmp_path: Path) -> None:
    model = _model(tmp_path)
    head = _head(model)
    assert find_targets(model, ("query", "value"), head) == [
        f"bert.encoder.layer.{block}.attention.self.{name}"
        for block in (0, 1)
        for name in ("query", "value")
    ]
    whole = "bert.encoder.layer.1.output.dense"
    assert find_targets(model, (whole,), head) == [whole]
    # `dense` is also in the pooler, below the head here; `ense` is the end of no part.
    assert len(find_targets(model, ("dense",), head)) == 2 * 3 + 1
    with pytest.raises(RecipeError, match="'ense' is no module"):
        find_targets(model, ("ense",), head)


def test_the_head_gets_no_adapter(tmp_path: Path) -> None:
    model = _model(tmp_path, "roberta")  # whose head has a module named dense as the blocks do
    targets = find_targets(model, ("dense",), _head(model))
    assert len(targets) == 6
    assert not [name for name in targets if name.startswith("classifier")]


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        (("qurey",), "'qurey' is no module of this model. Linear modules there are: query"),
        (("LayerNorm",), "'LayerNorm' is a LayerNorm. Linear modules there are: "),
        (("classifier",), "'classifier' is of the head, which learns anyway. Linear modules"),
        (("encoder.layer.9.output.dense",), "there are: bert.encoder.layer.[01].output.dense"),
        (("query", "valeu", "kye"), "'valeu' is no module.*value; .*'kye' is no module.*key"),
    ],
)
def test_targets_that_are_not_there_are_refused_with_those_that_are(
    asked: tuple[str, ...], sentence: str, tmp_path: Path
) -> None:
    model = _model(tmp_path)
    with pytest.raises(RecipeError, match=f"freezing.lora.targets: .*{sentence}"):
        find_targets(model, asked, _head(model))


def test_a_model_without_blocks_or_linear_modules_wants_names() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    with pytest.raises(RecipeError, match=r"no list of like modules\. Name modules: 0, 1"):
        find_targets(model, "auto", ())
    blocks = nn.ModuleList([nn.Conv2d(1, 1, 1), nn.Conv2d(1, 1, 1)])
    with pytest.raises(RecipeError, match=r"auto finds no linear module in blocks.*: out"):
        find_targets(nn.ModuleDict({"blocks": blocks, "out": nn.Linear(2, 2)}), "auto", ())


def test_what_peft_refuses_is_one_sentence() -> None:
    sizes = {"vocab_size": 9, "hidden_size": 8, "state_size": 4, "num_hidden_layers": 2}
    model = MambaForCausalLM(MambaConfig(**sizes))
    with pytest.raises(RecipeError, match=r"peft puts no adapter beside .*out_proj.*Name other"):
        add_adapters(model, Lora(rank=2), frozenset())


def test_attention_that_never_calls_its_modules_gets_none() -> None:
    layers = [nn.TransformerEncoderLayer(8, 2, 16, batch_first=True) for _ in range(2)]
    found = find_targets(nn.ModuleDict({"blocks": nn.ModuleList(layers)}), "auto", ())
    assert found == [f"blocks.{n}.{name}" for n in (0, 1) for name in ("linear1", "linear2")]


@pytest.mark.parametrize("dora", [False, True])
@pytest.mark.parametrize("kind", sorted(IN_A_BLOCK))
def test_adapters_begin_as_what_changes_nothing(kind: str, dora: bool, tmp_path: Path) -> None:
    model = _model(tmp_path, kind)
    ids = torch.tensor([[7, 8, 9]])
    with torch.no_grad():
        before = model(input_ids=ids).logits
    weights = {n: p.detach().clone() for n, p in model.named_parameters()}
    head = _head(model)
    adapters = add_adapters(model, Lora(rank=4, dora=dora), head)
    draw_new_parameters(model, adapters, 0, seed=3)
    with torch.no_grad():
        after = model(input_ids=ids).logits
    # DoRA divides a weight's length by itself and multiplies with the quotient: 1 but for rounding.
    assert (after - before).abs().max() <= (1e-6 if dora else 0.0)
    now = dict(model.named_parameters())
    assert len(adapters) == (3 if dora else 2) * 2 * IN_A_BLOCK[kind]
    left = {n.replace(".base_layer.", "."): p for n, p in now.items() if n not in adapters}
    assert left.keys() == weights.keys()
    assert all(left[name].equal(weights[name]) for name in weights)
    assert head <= now.keys()


def test_matrices_are_drawn_from_their_own_seeds(tmp_path: Path) -> None:
    drawn = []
    for seed in (3, 3, 4):
        torch.manual_seed(len(drawn))  # what the process drew before must not matter
        model = _model(tmp_path)
        adapters = add_adapters(model, Lora(rank=4), _head(model))
        draw_new_parameters(model, adapters, 0, seed)
        drawn.append({n: p.detach() for n, p in model.named_parameters() if n in adapters})
    first, again, other = drawn
    firsts = [name for name in first if adapter_part(name) == "lora_A"]
    assert len(firsts) == 12
    for name in firsts:
        assert first[name].equal(again[name])
        assert not first[name].equal(other[name])
        # Kaiming with a = sqrt(5): gain sqrt(2 / 6), uniform up to sqrt(3) * gain / sqrt(fan in).
        bound = 1 / math.sqrt(first[name].shape[1])
        assert 0.8 * bound < first[name].abs().max() <= bound
    assert len({first[name].sum().item() for name in firsts}) == len(firsts)
    assert all(not first[name].any() for name in first if adapter_part(name) == "lora_B")


def test_adapters_and_head_learn_and_only_b_moves_first(tmp_path: Path) -> None:
    model = _model(tmp_path)
    head = _head(model)
    adapters = add_adapters(model, Lora(rank=4, dora=True), head)
    freezing = Freezing.model_validate({"lora": {"rank": 4, "dora": True}})
    (phase,) = choose_phases(model, freezing, head, epochs=3)
    assert (phase.name, phase.trainable) == ("DoRA of rank 4", adapters | head)
    assert phase.late == {name for name in adapters if "lora_A" in name}
