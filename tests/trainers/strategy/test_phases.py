"""What learns from which step to which."""

from itertools import pairwise

import pytest
from torch import nn
from transformers import AutoModelForSequenceClassification, PreTrainedModel

from configs.errors import RecipeError
from configs.freezing_sections import Freezing
from tests.tiny import make_model_folder
from trainers.strategy.phases import (
    Bounds,
    Phase,
    births,
    choose_phases,
    cut_bounds,
    learned,
    place_phases,
)

HEAD = frozenset({"classifier.weight", "classifier.bias"})


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> PreTrainedModel:
    """A tiny BERT of three blocks."""
    path = make_model_folder(tmp_path_factory.mktemp("phases") / "m", layers=3, num_labels=3)
    return AutoModelForSequenceClassification.from_pretrained(path)


def _phases(model: PreTrainedModel, epochs: int = 9, **freezing: object) -> tuple[Phase, ...]:
    return choose_phases(model, Freezing.model_validate(freezing), HEAD, epochs)


def test_gradual_adds_a_block_an_epoch_and_ends_with_everything(model: PreTrainedModel) -> None:
    phases = _phases(model, gradual=True)
    assert [(p.name, p.epochs) for p in phases] == [
        ("head", 1),
        ("last block", 1),
        ("last 2 blocks", 1),
        ("all", None),
    ]
    assert phases[0].trainable == HEAD
    assert phases[-1].trainable == {name for name, _ in model.named_parameters()}
    for before, after in pairwise(phases):
        assert before.trainable < after.trainable
    new = phases[2].trainable - phases[1].trainable
    assert all(name.startswith("bert.encoder.layer.1.") for name in new)
    without = _phases(model, gradual=True, embeddings=False)[-1].trainable
    assert phases[-1].trainable - without == {
        f"bert.embeddings.{name}" for name, _ in model.bert.embeddings.named_parameters()
    }


def test_presets(model: PreTrainedModel) -> None:
    names = {name for name, _ in model.named_parameters()}
    probe, everything = _phases(model, epochs=5, preset="lp_ft")
    assert (probe.trainable, probe.epochs) == (HEAD, 2)
    assert (everything.trainable, everything.epochs) == (names, None)
    (biases,) = _phases(model, preset="bitfit")
    assert biases.trainable == {n for n in names if n.endswith(".bias")} | HEAD
    without = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
    with pytest.raises(RecipeError, match="preset bitfit finds none in this model"):
        choose_phases(without, Freezing(preset="bitfit"), HEAD, 3)
    (norms,) = _phases(model, preset="norm_only")
    assert norms.trainable == {n for n in names if ".LayerNorm." in n} | HEAD


@pytest.mark.parametrize(
    ("freezing", "epochs", "sentence"),
    [
        ({"gradual": True}, 3, "3 blocks of bert.encoder.layer .* epochs is 3. Use epochs 4"),
        (
            {"schedule": [{"learn": "head", "epochs": 1}, {"learn": {"train": ["classifier"]}}]},
            9,
            r"phase 2 \(classifier\) unfreezes nothing that phase 1 \(head\) did not have",
        ),
        (
            {"schedule": [{"learn": "head", "epochs": 1}, {"learn": {"last": 99}}]},
            9,
            "last is 99 but bert.encoder.layer has 3 blocks",
        ),
        (
            {"schedule": [{"learn": "head", "epochs": 1}, {"learn": {"train": ["poler.weight"]}}]},
            9,
            "'poler.weight' matches no parameter.*bert.pooler.dense.weight",
        ),
    ],
)
def test_what_the_model_does_not_allow_is_refused(
    freezing: dict[str, object], epochs: int, sentence: str, model: PreTrainedModel
) -> None:
    with pytest.raises(RecipeError, match=sentence):
        _phases(model, epochs, **freezing)


def _lengths(*lengths: dict[str, int]) -> list[Phase]:
    return [Phase(str(n), frozenset("abc"[: n + 1]), **v) for n, v in enumerate(lengths)]


def test_phases_fill_the_run() -> None:
    phases = _lengths({"epochs": 1}, {"steps": 3}, {})
    assert place_phases(phases, 5, 20) == (Bounds(0, 5), Bounds(5, 8), Bounds(8, 20))
    # The first ended at a stall after 2 steps: what follows moves forward.
    assert place_phases(phases, 5, 20, (0, 2)) == (Bounds(0, 2), Bounds(2, 5), Bounds(5, 20))
    assert cut_bounds(place_phases(phases, 5, 20), 7) == (Bounds(0, 5), Bounds(5, 7))
    with pytest.raises(RecipeError, match=r"phase 3 of 3 \(2\) would begin after step 8 .* has 8"):
        place_phases(phases, 5, 8)
    with pytest.raises(RecipeError, match="end after step 8 but the run has 20 steps"):
        place_phases(phases[:2], 5, 20)


def test_a_parameter_is_born_when_it_began_to_learn_without_a_break() -> None:
    sets = ({"a"}, {"a", "b"}, {"b", "c"}, {"a", "b", "c"})
    phases = [Phase(str(n), frozenset(names)) for n, names in enumerate(sets)]
    assert births(phases, 1, (0, 5)) == {"a": 0, "b": 5}
    assert births(phases, 3, (0, 5, 7, 9)) == {"a": 9, "b": 5, "c": 7}
    assert learned(phases, 2) == {"a", "b", "c"}
    assert learned(phases, 0) == {"a"}


def test_what_the_model_itself_does_not_let_learn_never_does(model: PreTrainedModel) -> None:
    names = {name for name, _ in model.named_parameters()}
    table = model.bert.embeddings.position_embeddings.weight
    table.requires_grad_(False)
    try:
        (phase,) = _phases(model)
    finally:
        table.requires_grad_(True)
    assert phase.trainable == names - {"bert.embeddings.position_embeddings.weight"}
