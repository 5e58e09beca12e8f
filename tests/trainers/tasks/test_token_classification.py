"""Words and tags to tokens, loss against transformers' own, predictions, whole runs."""

import json
import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
import torch

from configs.errors import RecipeError
from configs.model_sections import Model
from configs.task_columns import Column, Columns
from configs.task_sections import TokenClassification
from tests.proofs import with_proofs
from tests.recipes import tiny_recipe
from tests.tiny import COMMON_WORDS, make_model_folder, make_tokenizer
from tests.trainers.task_runs import prove_task
from trainers.tasks import functions_of
from trainers.tasks.judging import Batching, Fed, Sample, Setting
from trainers.tasks.refusals import RowError
from trainers.tasks.token_classification import TOKEN_CLASSIFICATION

TASK = TokenClassification(kind="token_classification")
NAMES = ("B-T", "I-T", "O")
SETTING = Setting(TASK, NAMES, "cpu", make_tokenizer)
# The vocabulary of tests.tiny: [PAD] [UNK] [CLS] [SEP], then "a", "an", "and", "are", ...
PAD, CLS, SEP, A, AN, AND = 0, 2, 3, 4, 5, 6
IGNORED = -100


def _tokenizer() -> Any:
    """Make a tokenizer that cuts at hyphens: a-an is one word and three tokens."""
    from tokenizers import pre_tokenizers

    made = make_tokenizer()
    made.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Split("-", "isolated")]
    )
    return made


def _encoded(words: list[Any], tags: list[Any], max_length: int = 64) -> pa.Table:
    cells = pa.table({"tokens": words, "tags": tags})
    return TOKEN_CLASSIFICATION.encode(TASK, _tokenizer(), max_length, NAMES, cells)


def _collated(rows: pa.Table) -> Any:
    return TOKEN_CLASSIFICATION.collate(TASK, Batching(PAD, 64, 1, len(NAMES)))(rows)


def test_columns_are_those_of_the_recipe() -> None:
    assert functions_of(TASK) is TOKEN_CLASSIFICATION
    expected = Columns((Column("tokens", "words"),), Column("tags", "tags"))
    assert TOKEN_CLASSIFICATION.columns(TASK) == expected


def test_the_first_token_of_a_word_has_its_tag() -> None:
    table = _encoded(['["a-an","and"]', '["a"]'], ['["B-T","I-T"]', '["O"]'])
    assert table.column_names == ["input_ids", "label", "length"]
    assert table["input_ids"].to_pylist() == [[CLS, A, 1, AN, AND, SEP], [CLS, A, SEP]]
    assert table["label"].to_pylist() == [
        [IGNORED, 0, IGNORED, IGNORED, 1, IGNORED],
        [IGNORED, 2, IGNORED],
    ]
    inputs, labels = _collated(table)
    assert set(inputs) == {"input_ids", "attention_mask"}
    assert labels.tolist()[1] == [IGNORED, 2, IGNORED, IGNORED, IGNORED, IGNORED]
    assert labels.dtype == torch.int64


def test_words_that_do_not_fit_have_no_target() -> None:
    table = _encoded(["a an and"], ["B-T I-T O"], max_length=4)
    assert table["label"].to_pylist() == [[IGNORED, 0, 1, IGNORED]]


def test_tags_of_another_number_than_words_are_refused() -> None:
    with pytest.raises(RowError, match="tokens has 2 words and column tags 1 tags") as caught:
        _encoded(["a", "a an"], ["O", "O"])
    assert caught.value.index == 1
    with pytest.raises(RowError, match="tag 'B-U' in column tags is none of 3"):
        _encoded(["a"], ["B-U"])


def test_a_tokenizer_must_say_which_word_a_token_is_of(tmp_path: Path) -> None:
    from transformers import BertConfig, CanineTokenizer

    BertConfig().save_pretrained(tmp_path)
    CanineTokenizer().save_pretrained(tmp_path)
    with pytest.raises(RecipeError, match="does not say which word a token is of"):
        TOKEN_CLASSIFICATION.load_processor(Model(path=str(tmp_path)))


def test_byte_level_tokenizers_see_a_space_before_each_word(tmp_path: Path) -> None:
    from tokenizers import pre_tokenizers
    from transformers import RobertaConfig, RobertaTokenizer

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", *letters]
    ids = {token: number for number, token in enumerate(vocabulary)}
    RobertaTokenizer(vocab=ids, merges=[]).save_pretrained(tmp_path)
    RobertaConfig(vocab_size=len(ids)).save_pretrained(tmp_path)
    tokenizer = TOKEN_CLASSIFICATION.load_processor(Model(path=str(tmp_path)))
    cells = pa.table({"tokens": ["a b"]})
    table = TOKEN_CLASSIFICATION.encode_inputs(TASK, tokenizer, 64, cells)
    space = "\u0120"
    tokens = tokenizer.convert_ids_to_tokens(table["input_ids"][0].as_py())
    assert tokens == ["<s>", space, "a", space, "b", "</s>"]
    assert table["word"][0].as_py() == [IGNORED, 0, IGNORED, 1, IGNORED, IGNORED]


def test_the_loss_is_that_of_transformers_times_the_tags(tmp_path: Path) -> None:
    folder = make_model_folder(tmp_path / "model")
    model, head, new = TOKEN_CLASSIFICATION.build_model(Model(path=str(folder)), TASK, NAMES)
    assert head == new == {"classifier.weight", "classifier.bias"}
    assert model.config.id2label == dict(enumerate(NAMES))
    inputs, labels = _collated(_encoded(["a an and", "a"], ["B-T I-T O", "O"]))
    model.eval()
    outputs = model(**inputs, labels=labels)
    found = TOKEN_CLASSIFICATION.summed_loss(outputs, labels)
    assert found.item() == pytest.approx(4 * outputs.loss.item(), rel=1e-6)
    assert TOKEN_CLASSIFICATION.output_of(outputs).shape == (2, 5, 3)
    empty = TOKEN_CLASSIFICATION.summed_loss(outputs, torch.full_like(labels, IGNORED))
    assert empty.item() == 0.0


def test_samples_show_words_and_tags() -> None:
    inputs, labels = _collated(_encoded(["a-an and", "a"], ["B-T I-T", "O"]))
    labels[1] = IGNORED
    logits = torch.zeros(2, 6, 3)
    logits[0, 1, 0] = logits[0, 4, 2] = 1.0
    fed = Fed(inputs, labels, SimpleNamespace(logits=logits))
    given = TOKEN_CLASSIFICATION.answer(SETTING, fed)
    found = TOKEN_CLASSIFICATION.samples(SETTING, fed, given)
    assert found == [Sample("a an and", "B-T I-T", "B-T O")]
    scores = TOKEN_CLASSIFICATION.build_scores(SETTING)
    scores.update(given, torch.tensor([True, False]))
    assert scores.compute().metrics["accuracy"] == 0.5


def test_each_word_is_predicted_a_tag_but_for_those_that_do_not_fit() -> None:
    cells = pa.table({"tokens": ["a-an and a", "a", "[]"]})
    rows = TOKEN_CLASSIFICATION.encode_inputs(TASK, _tokenizer(), 6, cells)
    inputs, labels = _collated(rows)
    assert labels.shape == (3, 6, 2)
    logits = torch.zeros(3, 6, 3)
    logits[0, 1, 1] = logits[0, 4, 2] = 1.0
    given = TOKEN_CLASSIFICATION.answer(
        SETTING, Fed(inputs, labels, SimpleNamespace(logits=logits))
    )
    found = TOKEN_CLASSIFICATION.predictions(SETTING, given)
    assert found == {"predicted_tags": [["I-T", "O", None], ["B-T"], []]}


def _write(path: Path, rows: int, seed: int) -> str:
    source = random.Random(seed)
    lines = []
    for number in range(rows):
        words = [*source.choices(COMMON_WORDS.split(), k=source.randint(2, 9)), f"topic{number}a"]
        tags = ["O" if len(word) < 3 else "B-T" for word in words]
        lines.append(json.dumps({"tokens": words, "tags": [*tags[:-1], "I-T"]}))
    path.write_text("\n".join(lines))
    return str(path)


@pytest.mark.parametrize("kind", with_proofs("bert", "distilbert", "roberta", "modernbert"))
def test_whole_runs_agree(tmp_path: Path, kind: str) -> None:
    make_model_folder(tmp_path / "model", kind)
    recipe = tiny_recipe(
        tmp_path,
        task={"kind": "token_classification"},
        data={
            "train": _write(tmp_path / "train.jsonl", 29, 0),
            "validation": _write(tmp_path / "validation.jsonl", 9, 1),
            "test": _write(tmp_path / "test.jsonl", 9, 2),
        },
        epochs=1,
    )
    cells = pa.table({"tokens": ['["a","the","was"]', '["topic1a"]']})
    proved = prove_task(recipe, cells, stop=2, brief=True)
    assert [len(tags) for tags in proved.predictions["predicted_tags"]] == [3, 1]
    assert 0.0 <= proved.told.ended.metrics["f1"] <= 1.0
