"""Texts to vectors, both losses against plain torch, predictions, whole runs."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
import torch
from torch.nn import functional

from configs.model_sections import Model
from configs.task_sections import SentenceEmbedding
from tests.proofs import with_proofs
from tests.recipes import tiny_recipe
from tests.tiny import make_csv, make_model_folder, make_tokenizer
from tests.trainers.runs import export_of
from tests.trainers.task_runs import prove_task
from trainers.tasks import functions_of
from trainers.tasks.judging import Batching, Fed, Sample, Setting
from trainers.tasks.refusals import RowError
from trainers.tasks.sentence_embedding import SENTENCE_EMBEDDING

PAIRS = SentenceEmbedding(kind="sentence_embedding")
TRIPLES = SentenceEmbedding(kind="sentence_embedding", negative="negative")
SCORED = SentenceEmbedding(kind="sentence_embedding", score="score")
BATCHING = Batching(0, 64, 1, 0)
# The vocabulary of tests.tiny: [PAD] [UNK] [CLS] [SEP], then "a", "an", "and", "are", ...
PAD, CLS, SEP, A, AN, AND = 0, 2, 3, 4, 5, 6
TEXTS = {
    "anchor": ["a an", "and"],
    "positive": ["an", "and and are"],
    "negative": ["the", "was"],
    "score": ["0.25", "1"],
}


def _encoded(task: SentenceEmbedding) -> pa.Table:
    names = [column.name for column in SENTENCE_EMBEDDING.columns(task).all]
    cells = pa.table({name: TEXTS[name] for name in names})
    return SENTENCE_EMBEDDING.encode(task, make_tokenizer(), 64, (), cells)


def _fed(task: SentenceEmbedding, folder: Path) -> Any:
    """Give the batch of the texts, what the model gives for it, and the vectors one by one."""
    model, head, _ = SENTENCE_EMBEDDING.build_model(
        Model(path=str(make_model_folder(folder, spread=0.3))), task, ()
    )
    assert head == frozenset()
    model.eval()
    inputs, labels = SENTENCE_EMBEDDING.collate(task, BATCHING)(_encoded(task))
    names = [name for name in TEXTS if name != "score"][: len(inputs["input_ids"]) // 2]
    vectors = []
    for name in names:
        for text in TEXTS[name]:
            fed = make_tokenizer()(text, return_tensors="pt")
            states = model(**fed).last_hidden_state[0]
            vectors.append(functional.normalize(states.mean(0), dim=0))
    return inputs, labels, model(**inputs), torch.stack(vectors).unflatten(0, (-1, 2))


def test_columns_are_those_of_the_recipe() -> None:
    assert functions_of(PAIRS) is SENTENCE_EMBEDDING
    found = SENTENCE_EMBEDDING.columns(TRIPLES)
    assert [c.name for c in found.all] == ["anchor", "positive", "negative"]
    assert [c.name for c in found.to_predict] == ["anchor"]
    target = SENTENCE_EMBEDDING.columns(SCORED).target
    assert target is not None
    assert target.kind == "number"


def test_all_texts_of_a_batch_stand_one_below_another() -> None:
    table = _encoded(TRIPLES)
    assert table.column_names == ["input_ids_a", "input_ids_b", "input_ids_c", "length"]
    assert table["length"].to_pylist() == [4, 5]
    inputs, labels = SENTENCE_EMBEDDING.collate(TRIPLES, BATCHING)(table)
    assert inputs["input_ids"].shape == inputs["attention_mask"].shape == (6, 5)
    assert inputs["input_ids"][:3].tolist() == [
        [CLS, A, AN, SEP, PAD],
        [CLS, AND, SEP, PAD, PAD],
        [CLS, AN, SEP, PAD, PAD],
    ]
    assert labels.tolist() == [0, 1]
    some, labels = SENTENCE_EMBEDDING.collate(TRIPLES, BATCHING)(table.slice(1))
    assert some["input_ids"][:, 1].tolist() == inputs["input_ids"][1::2, 1].tolist()
    assert labels.tolist() == [0]


def test_a_score_is_within_0_and_1() -> None:
    assert _encoded(SCORED)["label"].to_pylist() == [0.25, 1.0]
    cells = pa.table({"anchor": ["a"], "positive": ["an"], "score": ["4"]})
    with pytest.raises(RowError, match=r"column score has 4, a score is within \[0, 1\]"):
        SENTENCE_EMBEDDING.encode(SCORED, make_tokenizer(), 64, (), cells)


@pytest.mark.parametrize("task", [PAIRS, TRIPLES], ids=["pairs", "triples"])
def test_anchors_find_their_positives_among_all_others(
    task: SentenceEmbedding, tmp_path: Path
) -> None:
    _, labels, outputs, vectors = _fed(task, tmp_path)
    cosines = 20.0 * vectors[0] @ vectors[1:].flatten(0, 1).T
    expected = -cosines.log_softmax(-1).diagonal().sum()
    found = SENTENCE_EMBEDDING.summed_loss(outputs, labels)
    assert found.item() == pytest.approx(expected.item(), rel=1e-4)
    empty = SENTENCE_EMBEDDING.summed_loss(outputs, torch.full_like(labels, -100))
    assert empty.item() == 0.0


def test_with_a_score_the_cosine_is_to_be_it(tmp_path: Path) -> None:
    inputs, labels, outputs, vectors = _fed(SCORED, tmp_path)
    cosines = (vectors[0] * vectors[1]).sum(-1)
    expected = ((cosines - torch.tensor([0.25, 1.0])) ** 2).sum()
    found = SENTENCE_EMBEDDING.summed_loss(outputs, labels)
    assert found.item() == pytest.approx(expected.item(), rel=1e-4)
    setting = Setting(SCORED, (), "cpu", make_tokenizer)
    fed = Fed(inputs, labels, outputs)
    given = SENTENCE_EMBEDDING.answer(setting, fed)
    torch.testing.assert_close(given.values, cosines)
    sample = SENTENCE_EMBEDDING.samples(setting, fed, given)[1]
    assert sample == Sample("and", "and and are (1)", f"{cosines[1]:.4f}")
    scores = SENTENCE_EMBEDDING.build_scores(setting)
    scores.update(given, torch.tensor([True, True]))
    assert set(scores.compute().metrics) >= {"spearman", "pearson"}


def test_a_single_pair_has_nothing_to_tell_apart() -> None:
    vectors = functional.normalize(torch.ones(2, 4), dim=-1).requires_grad_()
    outputs = SimpleNamespace(vectors=vectors, cosine_scale=20.0)
    assert SENTENCE_EMBEDDING.summed_loss(outputs, torch.tensor([0])).item() == 0.0


def test_predicting_takes_the_anchor_alone(tmp_path: Path) -> None:
    _, _, _, vectors = _fed(PAIRS, tmp_path)
    cells = pa.table({"anchor": TEXTS["anchor"]})
    rows = SENTENCE_EMBEDDING.encode_inputs(PAIRS, make_tokenizer(), 64, cells)
    inputs, labels = SENTENCE_EMBEDDING.collate(PAIRS, BATCHING)(rows)
    from transformers import AutoModel

    outputs = AutoModel.from_pretrained(tmp_path).eval()(**inputs)
    setting = Setting(PAIRS, (), "cpu", make_tokenizer)
    given = SENTENCE_EMBEDDING.answer(setting, Fed(inputs, labels, outputs))
    found = torch.tensor(SENTENCE_EMBEDDING.predictions(setting, given)["embedding"])
    torch.testing.assert_close(found, vectors[0].detach())


def _recipe(folder: Path, kind: str) -> Any:
    make_model_folder(folder / "model", kind, spread=0.3)
    for seed, (split, rows) in enumerate((("train", 37), ("validation", 9), ("test", 11))):
        make_csv(folder / f"{split}.csv", rows, seed=seed, columns=("anchor", "positive", "label"))
    return tiny_recipe(folder, task={"kind": "sentence_embedding"}, epochs=1)


@pytest.mark.parametrize("kind", with_proofs("bert", "distilbert", "roberta", "modernbert"))
def test_whole_runs_agree(tmp_path: Path, kind: str) -> None:
    cells = pa.table({"anchor": ["a an and", "topic1a"]})
    proved = prove_task(_recipe(tmp_path, kind), cells, brief=kind != "bert")
    assert [len(row) for row in proved.predictions["embedding"]] == [32, 32]
    assert 0 <= proved.told.ended.metrics["recall_at_1"] <= 1
    folder = export_of(proved.recipe)
    assert (folder / "model.safetensors").exists()
