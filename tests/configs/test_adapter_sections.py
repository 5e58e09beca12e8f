"""What may be asked of adapters, and what is refused without a model."""

import pytest

from configs.freezing_sections import Freezing
from configs.problems import describe_problems
from configs.schema import Recipe

GOOD = {
    "name": "small",
    "model": {"path": "org/model"},
    "task": {"kind": "text_classification"},
    "data": {"train": "a.csv"},
    "epochs": 4,
}


def _problems(lora, **freezing):
    return describe_problems({**GOOD, "freezing": {"lora": lora, **freezing}}, {})


def test_nothing_but_the_word_is_needed():
    lora = Freezing.model_validate({"lora": {}}).lora
    assert lora is not None
    assert (lora.rank, lora.alpha, lora.targets, lora.dropout) == (8, 16, "auto", 0.0)
    assert Freezing.model_validate({"lora": {"targets": "auto"}}).lora == lora
    assert Freezing().lora is None


def test_one_module_needs_no_brackets():
    lora = Freezing.model_validate({"lora": {"targets": "query"}}).lora
    assert lora is not None and lora.targets == ("query",)


@pytest.mark.parametrize(
    ("asked", "title"),
    [
        ({"rank": 4}, "LoRA of rank 4"),
        ({"dora": True}, "DoRA of rank 8"),
        ({"bits": 4}, "QLoRA of rank 8"),
        ({"bits": 4, "dora": True}, "QDoRA of rank 8"),
    ],
)
def test_it_has_the_name_that_people_use(asked, title):
    assert Freezing.model_validate({"lora": asked}).lora.title == title


@pytest.mark.parametrize(
    ("lora", "sentence"),
    [
        ({"rank": 0}, "freezing.lora.rank: found 0, must be"),
        ({"alpha": -1}, "freezing.lora.alpha: found -1, must be"),
        ({"dropout": 1.0}, "freezing.lora.dropout: found 1.0, must be"),
        ({"bits": 8}, "freezing.lora.bits: found 8, allowed is 4"),
        ({"targets": []}, "freezing.lora.targets: found no name of a module. Use auto"),
        ({"targets": ["query", ""]}, "freezing.lora.targets: found no name of a module. Use auto"),
        ({"r": 8}, "freezing.lora.r is not a key of a recipe. Did you mean freezing.lora.rank?"),
        ({"targets": 5}, "freezing.lora.targets: found 5"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(lora, sentence):
    (problem,) = _problems(lora)
    assert problem.startswith(sentence)


@pytest.mark.parametrize(
    ("freezing", "sentence"),
    [
        ({"gradual": True}, "gradual and lora both say what learns. Keep one"),
        ({"preset": "ulmfit"}, "gradual and lora both say what learns. Keep one"),
        ({"preset": "bitfit"}, "preset and lora both say what learns. Keep one"),
        ({"schedule": [{"learn": "head"}]}, "schedule and lora both say what learns. Keep one"),
        ({"mode": "head"}, "lora says what learns. Leave mode, last and train out"),
        ({"last": 2}, "lora says what learns. Leave mode, last and train out"),
        ({"train": ["norm"]}, "lora says what learns. Leave mode, last and train out"),
        ({"embeddings": True}, "lora says what learns. Leave embeddings out"),
    ],
)
def test_another_way_to_say_what_learns_contradicts_it(freezing, sentence):
    assert _problems({}, **freezing) == [f"freezing: {sentence}."]


def test_all_problems_are_said_at_once():
    assert _problems({}, gradual=True, last=2, embeddings=True) == [
        "freezing: gradual and lora both say what learns. Keep one.",
        "freezing: gradual says what learns. Leave mode, last and train out.",
        "freezing: gradual says what learns. Leave embeddings out.",
    ]


def test_rates_of_their_own_go_with_it():
    assert not _problems({"dora": True}, layer_decay=0.9, head_learning_rate=1e-2)


def test_four_bits_need_a_gpu_whole_weights_and_bf16():
    problems = describe_problems({**GOOD, "freezing": {"lora": {"bits": 4}}}, {})
    assert problems == [
        "freezing.lora.bits 4 needs CUDA GPUs. Leave bits out, or set gpus_per_worker.",
        "freezing.lora.bits 4 computes in bf16, found precision fp32. Use bf16.",
    ]
    asked = {"freezing": {"lora": {"bits": 4}}, "cluster": {"gpus_per_worker": 1}}
    asked |= {"precision": "bf16"}
    assert describe_problems({**GOOD, **asked, "zero": {"stage": 3}}, {}) == [
        "freezing.lora.bits 4 does not go with zero.stage 3. Use stage 0, 1 or 2."
    ]
    assert Recipe.model_validate({**GOOD, **asked, "zero": {"stage": 2}}).freezing.lora.bits == 4
