"""Samples: some rows of a split, decoded or as numbers."""

from pathlib import Path

from tests.trainers.data.prepared_sets import prepare_example
from trainers.data.samples import sample_rows


def test_rows_come_evenly_spaced_with_their_labels(tmp_path: Path) -> None:
    made = prepare_example(tmp_path)
    found = sample_rows(made.data_dir, made.manifest, "train", 4, lambda ids: f"{len(ids)} tokens")
    assert len(found) == 4
    assert all(text.endswith("tokens") and label.startswith("label-") for text, label in found)
    # Fewer rows than asked for are all there are.
    assert len(sample_rows(made.data_dir, made.manifest, "test", 99, str)) == 6


def test_without_the_tokenizer_numbers_are_shown(tmp_path: Path) -> None:
    made = prepare_example(tmp_path)
    assert made.manifest.tokenizer == "no/such-model"
    [(text, _)] = sample_rows(made.data_dir, made.manifest, "train", 1)
    assert all(part.isdigit() for part in text.split())
