"""Which class loads a model, and what it is asked for."""

from pathlib import Path

import torch
import transformers

from configs.model_sections import Model
from tests.own_example import Scaled
from tests.tiny import make_model_folder
from trainers.tasks.model_class import architecture_of, from_config, model_class
from trainers.tasks.model_config import load_config
from trainers.tasks.pretrained import Head, build_pretrained

AUTO = "AutoModelForSequenceClassification"
OWN = "tests.own_example:Scaled"


def test_the_named_class_takes_the_place_of_the_task_s() -> None:
    assert model_class(Model(path="a"), AUTO) is transformers.AutoModelForSequenceClassification
    assert model_class(Model(path="a", implementation=OWN), AUTO) is Scaled


def test_an_architecture_goes_by_the_config(tmp_path: Path) -> None:
    config = load_config(Model(path=str(make_model_folder(tmp_path))))
    auto = model_class(Model(path="a"), AUTO)
    assert architecture_of(auto, config) is transformers.BertForSequenceClassification
    assert architecture_of(Scaled, config) is Scaled
    assert architecture_of(auto, transformers.T5Config()).__name__ == "T5ForSequenceClassification"
    assert architecture_of(auto, transformers.ViTConfig()) is None
    assert isinstance(from_config(Scaled, config), Scaled)
    assert not isinstance(from_config(auto, config), Scaled)


def test_an_own_class_gets_the_weights_and_a_new_head(tmp_path: Path) -> None:
    folder = make_model_folder(tmp_path)
    inputs = {"input_ids": torch.tensor([[2, 5, 3]])}
    logits = []
    for own in (None, OWN):
        model = Model(path=str(folder), implementation=own)
        built, head, new = build_pretrained(AUTO, model, Head(("a", "b")))
        assert head == new == {"classifier.weight", "classifier.bias"}
        built.classifier.weight.data.fill_(0.5)
        logits.append(built.eval()(**inputs).logits)
    assert torch.equal(logits[1], 2 * logits[0])


def test_an_own_class_may_begin_with_random_weights(tmp_path: Path) -> None:
    folder = make_model_folder(tmp_path)
    model = Model(path=str(folder), implementation=OWN, from_scratch=True)
    assert isinstance(build_pretrained(AUTO, model, Head(("a", "b")))[0], Scaled)
