"""The folder that is written loads, and its tokenizer gives back what it was fed."""

import gzip
from pathlib import Path

from configs.model_sections import Model
from configs.task_sections import SequenceToSequence
from launcher.small_translation_model import write_model
from trainers.tasks.sequence_to_sequence import SEQUENCE_TO_SEQUENCE

ENGLISH = ["A man sits.", "Two dogs run in the snow."]
FRENCH = ["Un homme est assis.", "Deux chiens courent dans la neige, l'\u00e9t\u00e9."]


def test_the_folder_is_a_model_to_be_trained_from_scratch(tmp_path: Path) -> None:
    (tmp_path / "en").write_text("\n".join(ENGLISH), encoding="utf-8")
    with gzip.open(tmp_path / "fr.gz", "wt", encoding="utf-8") as stream:
        stream.write("\n".join(FRENCH))
    folder = write_model(tmp_path / "model", [tmp_path / "en", tmp_path / "fr.gz"])
    task = SequenceToSequence(kind="sequence_to_sequence")
    model = Model(path=str(folder), from_scratch=True)
    built, *_ = SEQUENCE_TO_SEQUENCE.build_model(model, task, ())
    tokenizer = SEQUENCE_TO_SEQUENCE.load_processor(model)
    assert built.config.vocab_size == len(tokenizer)
    assert SEQUENCE_TO_SEQUENCE.numbers(model, tokenizer) == {"decoder_start_token_id": 0}
    for text in (*ENGLISH, *FRENCH, "42 \u732b"):
        ids = tokenizer(text)["input_ids"]
        assert ids[-1] == built.config.eos_token_id == tokenizer.eos_token_id
        assert tokenizer.decode(ids, skip_special_tokens=True).strip() == text
    written = (folder / "config.json").read_bytes()
    assert write_model(folder, []) == folder
    assert (folder / "config.json").read_bytes() == written
