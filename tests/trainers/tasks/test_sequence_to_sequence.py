"""Sequence to sequence: rows, loss and texts, and whole runs of every family."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch

from configs.errors import RecipeError
from configs.freezing_sections import Freezing, Learning
from configs.model_sections import Model
from configs.records import Evaluated
from configs.schema import Recipe
from configs.task_fields import Generation
from configs.task_sections import SequenceToSequence
from tests.proofs import with_proofs
from tests.recipes import tiny_recipe
from tests.tiny_sequences import WRITERS, make_pairs, make_writer_folder, make_writer_tokenizer
from tests.trainers.task_runs import prove_task
from trainers.strategy.freezing import choose_trainable
from trainers.strategy.phases import choose_phases
from trainers.tasks.judging import IGNORED, Batching
from trainers.tasks.sequence_to_sequence import SEQUENCE_TO_SEQUENCE

TASK = SequenceToSequence(
    kind="sequence_to_sequence", prefix="translate: ", generation=Generation(max_new_tokens=10)
)
CELLS = pa.table(
    {
        "source": ["one two three four five", "six"],
        "target": ["eins zwei drei vier fuenf", "sechs"],
    }
)
BATCHING = Batching(0, 64, 1, 0, numbers={"decoder_start_token_id": 0})


def _ids(*words: str) -> list[int]:
    return list(make_writer_tokenizer().convert_tokens_to_ids(list(words)))


def _encoded(cells: pa.Table = CELLS, **options: Any) -> pa.Table:
    task = TASK.model_copy(update=options)
    return SEQUENCE_TO_SEQUENCE.encode(task, make_writer_tokenizer(), 5, (), cells)


def test_sources_get_the_prefix_and_what_is_cut_keeps_its_end() -> None:
    rows = _encoded(max_target_length=4)
    assert rows.column_names == ["input_ids", "label", "length"]
    assert rows["input_ids"].to_pylist() == [
        _ids("translate:", "one", "two", "three", "</s>"),
        _ids("translate:", "six", "</s>"),
    ]
    assert rows["label"].to_pylist() == [
        _ids("eins", "zwei", "drei", "</s>"),
        _ids("sechs", "</s>"),
    ]
    assert rows["length"].to_pylist() == [5, 3]


def test_targets_end_also_where_the_tokenizer_adds_no_end() -> None:
    from tokenizers.processors import TemplateProcessing

    tokenizer = make_writer_tokenizer()
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single="$A", pair="$A $B")
    task = TASK.model_copy(update={"max_target_length": 3})
    rows = SEQUENCE_TO_SEQUENCE.encode(task, tokenizer, 5, (), CELLS)
    assert rows["label"].to_pylist() == [_ids("eins", "zwei", "</s>"), _ids("sechs", "</s>")]


def test_no_rows_are_encoded_as_none() -> None:
    rows = _encoded(CELLS.slice(0, 0))
    assert (rows.num_rows, rows.schema) == (0, _encoded().schema)


def test_the_decoder_reads_its_target_one_token_late() -> None:
    inputs, labels = SEQUENCE_TO_SEQUENCE.collate(TASK, BATCHING)(_encoded())
    first, second = _encoded()["label"].to_pylist()
    assert labels.tolist() == [first, second + [IGNORED] * 4]
    assert inputs["decoder_input_ids"].tolist() == [[0, *first[:-1]], [0, *second, 0, 0, 0]]
    assert inputs["attention_mask"].sum(1).tolist() == [5, 3]


def test_rows_without_a_target_give_the_decoder_its_first_token() -> None:
    rows = SEQUENCE_TO_SEQUENCE.encode_inputs(TASK, make_writer_tokenizer(), 64, CELLS)
    inputs, labels = SEQUENCE_TO_SEQUENCE.collate(TASK, BATCHING)(rows)
    assert inputs["decoder_input_ids"].tolist() == [[0], [0]]
    assert labels.tolist() == [[IGNORED], [IGNORED]]


@pytest.mark.parametrize("kind", WRITERS)
def test_the_loss_is_that_of_transformers(tmp_path: Path, kind: str) -> None:
    folder = make_writer_folder(tmp_path, kind)
    model, _, new = SEQUENCE_TO_SEQUENCE.build_model(Model(path=str(folder)), TASK, ())
    assert not new
    inputs, labels = SEQUENCE_TO_SEQUENCE.collate(TASK, BATCHING)(_encoded())
    model.eval()
    with torch.no_grad():
        ours = SEQUENCE_TO_SEQUENCE.summed_loss(model(**inputs), labels)
        sources = {name: inputs[name] for name in ("input_ids", "attention_mask")}
        theirs = model(**sources, labels=labels).loss
    assert ours.item() == pytest.approx(theirs.item() * (labels != IGNORED).sum().item(), rel=1e-6)


def test_what_a_model_cannot_write_is_refused(tmp_path: Path) -> None:
    model = Model(path=str(make_writer_folder(tmp_path, "bart")))
    task = TASK.model_copy(update={"generation": Generation(max_new_tokens=65)})
    with pytest.raises(RecipeError, match=r"max_new_tokens is 65 but .* has 64 positions"):
        SEQUENCE_TO_SEQUENCE.build_model(model, task, ())


def test_a_model_that_names_no_first_token_is_refused(tmp_path: Path) -> None:
    from transformers import T5Config

    T5Config(decoder_start_token_id=None).save_pretrained(tmp_path)
    with pytest.raises(RecipeError, match="names no decoder_start_token_id"):
        SEQUENCE_TO_SEQUENCE.numbers(Model(path=str(tmp_path)), make_writer_tokenizer())


def test_positions_that_are_computed_do_not_learn(tmp_path: Path) -> None:
    folder = make_writer_folder(tmp_path, "marian")
    model, *_ = SEQUENCE_TO_SEQUENCE.build_model(Model(path=str(folder)), TASK, ())
    tables = {f"model.{part}.embed_positions.weight" for part in ("encoder", "decoder")}
    assert {n for n, p in model.named_parameters() if not p.requires_grad} == tables
    (phase,) = choose_phases(model, Freezing(), frozenset(), epochs=1)
    assert phase.trainable == {n for n, _ in model.named_parameters()} - tables


@pytest.mark.parametrize("kind", WRITERS)
def test_the_last_blocks_are_the_decoders(tmp_path: Path, kind: str) -> None:
    folder = make_writer_folder(tmp_path, kind)
    model, head, _ = SEQUENCE_TO_SEQUENCE.build_model(Model(path=str(folder)), TASK, ())
    assert not head
    chosen = choose_trainable(model, Learning(mode="partial", last=1), head)
    blocks = {"t5": "decoder.block.", "bart": "model.decoder.layers."}
    name = blocks.get(kind, "model.decoder.layers.")
    learning = [n for n, _ in model.named_parameters() if n.startswith(f"{name}1.")]
    assert learning and set(learning) <= chosen
    assert not [n for n in chosen if "encoder." in n.replace("encoder_attn", "")]
    assert not [n for n in chosen if n.startswith((f"{name}0.", "shared", "model.shared"))]
    with pytest.raises(RecipeError, match="has no new head"):
        choose_phases(model, Freezing(gradual=True), head, epochs=9)


def _recipe(folder: Path, kind: str) -> Recipe:
    make_writer_folder(folder / "model", kind)
    for name, rows, seed in (("train", 45, 0), ("validation", 14, 1), ("test", 17, 2)):
        make_pairs(folder / f"{name}.csv", rows, seed)
    generation = {"max_new_tokens": 8, "num_beams": 2, "evaluation_rows": 6}
    return tiny_recipe(
        folder,
        name=kind,
        task={
            "kind": "sequence_to_sequence",
            "source": "english",
            "target": "german",
            "max_target_length": 16,
            "generation": generation,
        },
        loss={"label_smoothing": 0.1},
        model={"dropout": 0.1},
        optimizer={"learning_rate": 3e-3},
        freezing={"prefix_cache": "auto"},
    )


@pytest.mark.parametrize("kind", with_proofs("marian", "t5", "bart"))
def test_whole_runs_agree(tmp_path: Path, kind: str) -> None:
    recipe = _recipe(tmp_path, kind)
    cells = pa.table({"english": ["one two", "three four five six", "seven"]})
    proved = prove_task(recipe, cells, brief=kind != "t5")
    assert proved.predictions.keys() == {"prediction"}
    evaluations = [r for r in proved.told.records if isinstance(r, Evaluated)]
    names = {"loss", "perplexity", "bleu", "chrf", "rouge_1", "rouge_2", "rouge_l"}
    assert all(set(each.metrics) == names for each in evaluations)
    first, *_, last = (each.metrics["loss"] for each in evaluations if each.split == "validation")
    assert last < first
