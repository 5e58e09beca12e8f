"""Scores of texts: those of sacrebleu and rouge-score over all rows, however they are parted."""

import math

import pytest
import sacrebleu
import torch
from rouge_score.rouge_scorer import RougeScorer

from tests.on_ranks import on_ranks
from trainers.tasks.sequence_to_sequence import Answer
from trainers.tasks.text_scores import TextScores, bleu_counts, rouge

WRITTEN = [
    "the cat sat on the mat",
    "a quick brown fox .",
    "",
    "hello there , general kenobi",
    "Un chien court dans l'herbe.",
    "the the the the",
    "nobody knows what this is about",
]
EXPECTED = [
    "the cat is sitting on the mat",
    "a quick brown fox jumps.",
    "something was here",
    "hello there, general Kenobi!",
    "Un chien noir court dans l'herbe.",
    "the end",
    "nobody knows",
]
NOT_WRITTEN = 6
"""A row that no text was written for, though its target is in the loss."""


def _answer(rows: range) -> Answer:
    texts = {place: WRITTEN[row] for place, row in enumerate(rows) if row != NOT_WRITTEN}
    losses = torch.tensor([0.5 * (row + 1) for row in rows], dtype=torch.float64)
    targets = torch.tensor([row + 2 for row in rows])
    return Answer(losses, targets, texts, [EXPECTED[row] for row in rows])


def _metrics_of_parts(rank: int, world_size: int, parts: list[tuple[int, int]]) -> dict[str, float]:
    """Score parts of the rows, part i on rank i; a row that does not count stands before each."""
    scores = TextScores("cpu")
    for part in parts[rank::world_size]:
        rows = range(*part)
        scores.update(_answer(range(1)), torch.tensor([False]))
        scores.update(_answer(rows), torch.ones(len(rows), dtype=torch.bool))
    return scores.compute().metrics


def test_scores_are_those_of_all_rows_at_any_number_of_ranks() -> None:
    (one,) = on_ranks(1, _metrics_of_parts, [(0, 7)])
    two = on_ranks(2, _metrics_of_parts, [(0, 2), (2, 3), (3, 7)])
    assert two[0] == two[1] == pytest.approx(one, rel=1e-12)
    written, expected = WRITTEN[:NOT_WRITTEN], EXPECTED[:NOT_WRITTEN]
    assert one["bleu"] == sacrebleu.corpus_bleu(written, [expected], force=True).score
    assert one["chrf"] == sacrebleu.corpus_chrf(written, [expected]).score
    # Losses 0.5 to 3.5 over 2 to 8 targets.
    assert one["perplexity"] == pytest.approx(math.exp(14.0 / 35.0))
    scorer = RougeScorer(["rouge1", "rouge2", "rougeL"])
    found = [scorer.score(e, w) for e, w in zip(expected, written, strict=True)]
    for theirs, ours in (("rouge1", "rouge_1"), ("rouge2", "rouge_2"), ("rougeL", "rouge_l")):
        mean = sum(each[theirs].fmeasure for each in found) / len(found)
        assert one[ours] == pytest.approx(mean, rel=1e-12)
    assert 5.0 < one["bleu"] < 95.0


def test_where_nothing_is_written_there_is_a_perplexity_alone() -> None:
    (found,) = on_ranks(1, _metrics_of_parts, [(NOT_WRITTEN, 7)])
    assert found == {"perplexity": pytest.approx(math.exp(3.5 / 8.0))}


def test_words_of_any_language_count() -> None:
    assert rouge("\u00c9t\u00e9 froid", "\u00e9t\u00e9 chaud")[0] == 0.5
    assert rouge("\u0434\u043e\u043c", "\u0434\u043e\u043c").tolist() == [1.0, 0.0, 1.0]
    assert bleu_counts("a b c d e", "a b c d e")[:2].tolist() == [5, 5]
