"""Text that models write: for which rows, the same whatever stands beside them or feeds them."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

from configs.task_fields import Generation
from configs.task_sections import LanguageModeling, SequenceToSequence
from tests.on_ranks import on_ranks
from tests.recipes import tiny_recipe
from tests.tiny import make_model_folder, make_tokenizer
from tests.tiny_sequences import WRITERS, make_writer_folder, make_writer_tokenizer
from trainers.engine import build_engine, start_distributed
from trainers.place import Place
from trainers.tasks.generation import (
    Writer,
    build_writer,
    end_of,
    generation_config,
    most_new_tokens,
    rows_to_write,
    tell_of_writing,
    written_texts,
)
from trainers.tasks.judging import Fed, Setting
from trainers.tasks.remarks import remarks_of

TASK = SequenceToSequence(
    kind="sequence_to_sequence", generation=Generation(max_new_tokens=9, num_beams=2)
)
SOURCES = ["one two three", "four", "five six seven eight nine nine", "two one", "three"]


@given(rows=st.integers(1, 300), asked=st.integers(1, 300), cut=st.integers(0, 300))
def test_the_rows_that_are_written_are_spread_evenly_whoever_feeds_them(rows, asked, cut):
    task = TASK.model_copy(update={"generation": Generation(evaluation_rows=asked)})
    numbers = np.arange(rows)
    chosen = rows_to_write(task, numbers, rows).nonzero().flatten().numpy()
    assert len(chosen) == min(asked, rows)
    gaps = np.diff([*chosen, chosen[0] + rows])
    assert gaps.max() - gaps.min() <= 1
    parts = [rows_to_write(task, part, rows) for part in np.split(numbers, [min(cut, rows)])]
    assert torch.cat(parts).nonzero().flatten().tolist() == chosen.tolist()


def test_all_rows_are_written_or_none() -> None:
    assert rows_to_write(TASK, np.arange(3), 3).tolist() == [True] * 3
    silent = LanguageModeling(kind="language_modeling")
    assert rows_to_write(silent, np.arange(3), 3) is None


def _inputs() -> dict[str, torch.Tensor]:
    return dict(make_writer_tokenizer()(SOURCES, padding=True, return_tensors="pt").items())


@pytest.mark.parametrize("kind", WRITERS)
def test_an_encoder_decoder_writes_what_transformers_writes(tmp_path: Path, kind: str) -> None:
    folder = make_writer_folder(tmp_path / kind, kind)
    model = AutoModelForSeq2SeqLM.from_pretrained(folder).eval()
    written = Writer(model, TASK.generation, make_writer_tokenizer)(_inputs())
    expected = model.generate(**_inputs(), max_new_tokens=9, num_beams=2, do_sample=False)
    assert written.equal(expected[:, 1:])


def test_a_decoder_goes_on_from_prompts_whose_padding_stands_at_either_end(tmp_path: Path) -> None:
    tokenizer = make_tokenizer("gpt2")
    tokenizer.pad_token = tokenizer.eos_token
    model = AutoModelForCausalLM.from_pretrained(make_model_folder(tmp_path, "gpt2")).eval()
    write = Writer(model, Generation(max_new_tokens=5), lambda: tokenizer)
    texts = ["that this was", "it", "they were here with you and the others"]
    for side in ("left", "right"):
        tokenizer.padding_side = side
        together = write(dict(tokenizer(texts, padding=True, return_tensors="pt")))
        for row, text in enumerate(texts):
            alone = write(dict(tokenizer([text], return_tensors="pt")))[0]
            assert together[row, : len(alone)].equal(alone)


def test_settings_of_sampling_are_left_behind_and_the_others_kept(tmp_path: Path) -> None:
    model = AutoModelForSeq2SeqLM.from_pretrained(make_writer_folder(tmp_path))
    model.generation_config.update(
        do_sample=True, temperature=0.3, top_k=9, max_length=70, no_repeat_ngram_size=3
    )
    config = generation_config(model, TASK.generation, make_writer_tokenizer())
    assert (config.do_sample, config.temperature, config.top_k) == (False, None, None)
    assert (config.max_length, config.max_new_tokens, config.num_beams) == (None, 9, 2)
    assert (config.no_repeat_ngram_size, config.decoder_start_token_id) == (3, 0)
    config.validate(strict=True)


def _texts_on_ranks(
    rank: int, world_size: int, folder: str, stages: list[int]
) -> list[dict[int, str]]:
    """Write for the rows of rank 0's microbatch, then for those of nobody; rank 1 has none."""
    start_distributed("cpu")
    made = []
    for stage in stages:
        recipe = tiny_recipe(Path(folder), zero={"stage": stage})
        model: Any = AutoModelForSeq2SeqLM.from_pretrained(Path(folder) / "writer")
        place = Place(rank, world_size, rank, folder, folder, 1, "cpu")
        engine = build_engine(model, recipe, place)
        engine.handle.eval()
        together = stage == 3 and world_size > 1
        writer = build_writer(model, TASK, make_writer_tokenizer, together=together)
        setting = Setting(TASK, (), "cpu", make_writer_tokenizer, writer)
        inputs = _inputs()
        mine = torch.tensor([rank == 0 and row != 1 for row in range(len(SOURCES))])
        for written in (mine, torch.zeros(len(SOURCES), dtype=torch.bool)):
            fed = Fed(inputs, inputs["input_ids"], SimpleNamespace(), written)
            made.append(written_texts(setting, fed, inputs))
        engine.handle.destroy()
    return made


def test_ranks_write_together_where_only_one_has_rows(tmp_path: Path) -> None:
    make_writer_folder(tmp_path / "writer")
    tiny_recipe(tmp_path)
    stages = [0, 2, 3]
    alone, *_ = on_ranks(1, _texts_on_ranks, str(tmp_path), stages)
    first, second = on_ranks(2, _texts_on_ranks, str(tmp_path), stages)
    assert list(alone[0]) == [0, 2, 3, 4]
    assert alone == first == [alone[0], {}] * len(stages)
    assert second == [{}] * 2 * len(stages)


def _of_two_models(positions: int = 64) -> Any:
    """Make an encoder-decoder of two models, whose config alone names its first and last token."""
    from transformers import BertConfig, EncoderDecoderConfig, EncoderDecoderModel

    sizes = {"vocab_size": 40, "hidden_size": 8, "num_hidden_layers": 1, "intermediate_size": 8}
    sizes |= {"num_attention_heads": 2, "max_position_embeddings": positions}
    parts = BertConfig(**sizes), BertConfig(**sizes, is_decoder=True, add_cross_attention=True)
    config = EncoderDecoderConfig.from_encoder_decoder_configs(*parts)
    config.decoder_start_token_id, config.pad_token_id = 2, 0
    return EncoderDecoderModel(config=config).eval()


def test_one_of_two_models_begins_and_ends_as_its_config_says() -> None:
    model, tokenizer = _of_two_models(), make_tokenizer("bert")
    config = generation_config(model, Generation(max_new_tokens=3), tokenizer)
    assert (config.decoder_start_token_id, config.eos_token_id) == (2, tokenizer.sep_token_id)
    model.config.eos_token_id = 7
    assert end_of(model, tokenizer) == 7
    made = Writer(model, Generation(max_new_tokens=3), lambda: tokenizer)(
        dict(tokenizer(["the", "it is on"], padding=True, return_tensors="pt"))
    )
    assert made.shape[0] == 2 and 1 <= made.shape[1] <= 3


@pytest.mark.parametrize(
    ("positions", "with_encoder", "alone"), [(1024, 64, 64), (65, 64, 64), (64, 64, 32), (9, 9, 4)]
)
def test_where_nothing_is_asked_few_positions_are_room_for_few_tokens(
    positions: int, with_encoder: int, alone: int
) -> None:
    from transformers import GPT2Config

    model = SimpleNamespace(config=GPT2Config(n_positions=positions))
    assert most_new_tokens(model, Generation()) == alone
    assert most_new_tokens(model, Generation(max_new_tokens=5)) == 5
    tell_of_writing(model, Generation(), 0)
    assert bool(remarks_of(model)) == (alone < 64)
    model.config.is_encoder_decoder = True
    assert most_new_tokens(model, Generation()) == with_encoder


def test_a_model_without_an_end_token_is_told_of() -> None:
    from transformers import GPT2Config

    model = SimpleNamespace(config=GPT2Config(n_positions=99))
    tell_of_writing(model, Generation(max_new_tokens=5), None)
    (said,) = remarks_of(model)
    assert "names an end token" in said and said.endswith("ends after 5 tokens")
