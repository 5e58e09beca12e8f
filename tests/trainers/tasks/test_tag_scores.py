"""Spans and their scores as seqeval counts them, the same bits at any number of ranks."""

import random
from types import SimpleNamespace

import pytest
import torch

from tests.on_ranks import on_ranks
from trainers.tasks.judging import Scored
from trainers.tasks.tag_scores import TagScores, span_types, spans

TAGS = ("O", "O", "B-LOC", "I-LOC", "B-PER", "I-PER", "I-ORG")
NAMES = tuple(sorted(set(TAGS)))
ROWS = 40


def _made() -> tuple[list[list[str]], list[list[str]]]:
    source = random.Random(5)
    labels = [source.choices(TAGS, k=source.randint(1, 9)) for _ in range(ROWS)]
    predicted = [
        [tag if source.random() < 0.7 else source.choice(TAGS) for tag in row] for row in labels
    ]
    return labels, predicted


def _tensor(rows: list[list[str]], names: tuple[str, ...], fill: int) -> torch.Tensor:
    """Lay tags out behind a token of no word, padded to the longest row."""
    laid = torch.full((len(rows), 1 + max(map(len, rows))), fill)
    for row, tags in enumerate(rows):
        laid[row, 1 : 1 + len(tags)] = torch.tensor([names.index(tag) for tag in tags])
    return laid


def _scored(rank: int, world_size: int, bounds: list[int], names: tuple[str, ...]) -> Scored:
    scores = TagScores(names, "cpu")
    labels, predicted = _made()
    for first in range(bounds[rank], bounds[rank + 1], 7):
        rows = slice(first, min(first + 7, bounds[rank + 1]))
        answer = SimpleNamespace(
            labels=_tensor(labels[rows], names, -100),
            predicted=_tensor(predicted[rows], names, 0),
        )
        counted = torch.ones(len(labels[rows]), dtype=torch.bool)
        scores.update(answer, counted)
    return scores.compute()


def test_spans_are_scored_as_seqeval_scores_them() -> None:
    found = _scored(0, 1, [0, ROWS], NAMES)
    # What seqeval 1.2.2 gives for these rows: micro, macro and weighted averages, and each type.
    assert found.metrics == pytest.approx(
        {
            "accuracy": 0.7848837209302325,
            "precision": 0.7563025210084033,
            "recall": 0.7692307692307693,
            "f1": 0.7627118644067797,
            "macro_f1": 0.7542222763106298,
            "weighted_f1": 0.7606972827856362,
        },
        rel=1e-12,
    )
    assert {name: list(row.values()) for name, row in found.per_class.items()} == {
        "LOC": pytest.approx([0.72727273, 0.82051282, 0.77108434, 39], rel=1e-7),
        "ORG": pytest.approx([0.79166667, 0.63333333, 0.7037037, 30], rel=1e-7),
        "PER": pytest.approx([0.76470588, 0.8125, 0.78787879, 48], rel=1e-7),
    }


def test_uneven_ranks_give_the_bits_of_one() -> None:
    alone = _scored(0, 1, [0, ROWS], NAMES)
    for found in on_ranks(2, _scored, [0, 11, ROWS], NAMES):
        assert (found.metrics, found.per_class) == (alone.metrics, alone.per_class)


def test_other_tags_are_scored_one_by_one() -> None:
    assert span_types(("O", "B-PER", "I-PER", "E-LOC", "S-LOC")) == ("LOC", "PER")
    assert span_types(("NOUN", "VERB", "O")) == span_types(("O",)) == ()
    scores = TagScores(("NOUN", "VERB"), "cpu")
    labels = torch.tensor([[0, 1, -100], [1, -100, -100]])
    predicted = torch.tensor([[0, 0, 1], [1, 0, 0]])
    scores.update(SimpleNamespace(labels=labels, predicted=predicted), torch.tensor([True, True]))
    found = scores.compute()
    assert found.metrics["accuracy"] == pytest.approx(2 / 3)
    assert found.per_class["NOUN"]["support"] == 1.0
    assert "one by one, not as spans: NOUN marks no span" in found.remarks[0]


@pytest.mark.parametrize(
    ("tags", "types"),
    [
        (("B", "I", "O"), ("_",)),
        (("B-X", "I-X", "L-X", "O", "U-Y"), ("X", "Y")),
        (("B", "E", "M", "S"), ("_",)),
        (("B", "I-X", "O"), ("X", "_")),
        # Two schemes at once, letters that mean something else, words.
        (("B", "L", "M", "O"), ()),
        (("M", "S"), ()),
        (("BAD", "ILL", "O"), ()),
        (("B-", "O"), ()),
    ],
)
def test_schemes_are_known_by_all_of_their_tags(
    tags: tuple[str, ...], types: tuple[str, ...]
) -> None:
    assert span_types(tags) == types


def test_types_that_do_not_occur_are_left_out_and_named() -> None:
    names = ("B-A", "B-B", "O")
    scores = TagScores(names, "cpu")
    labels = torch.tensor([[0, 2, 0]])
    counted = torch.tensor([True])
    predicted = torch.tensor([[0, 2, 2]])
    scores.update(SimpleNamespace(labels=labels, predicted=predicted), counted)
    found = scores.compute()
    # One of two spans found, none told wrongly: 2 * 1 / (1 + 2).
    assert found.metrics["macro_f1"] == found.metrics["f1"] == pytest.approx(2 / 3)
    assert "macro_f1 leaves out B: " in found.remarks[0]
    nothing = TagScores(names, "cpu").compute().metrics
    assert all(value != value for value in nothing.values())


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("", []),
        ("B-A I-A O B-A", [("A", 0, 1), ("A", 3, 3)]),
        # What is inside without a beginning begins.
        ("I-A O I-B I-A", [("A", 0, 0), ("B", 2, 2), ("A", 3, 3)]),
        ("B-A B-A I-B", [("A", 0, 0), ("A", 1, 1), ("B", 2, 2)]),
        ("B-A E-A E-A S-A I-A", [("A", 0, 1), ("A", 2, 2), ("A", 3, 3), ("A", 4, 4)]),
        ("B-x-y I-x-y", [("x-y", 0, 1)]),
        # Without a type, in BIO, BILOU and BMES.
        ("B I O I B B", [("_", 0, 1), ("_", 3, 3), ("_", 4, 4), ("_", 5, 5)]),
        ("B L U B I L O", [("_", 0, 1), ("_", 2, 2), ("_", 3, 5)]),
        ("B-A I-A L-A U-B O U-A", [("A", 0, 2), ("B", 3, 3), ("A", 5, 5)]),
        ("B M M E S S B E", [("_", 0, 3), ("_", 4, 4), ("_", 5, 5), ("_", 6, 7)]),
        ("B I-A", [("_", 0, 0), ("A", 1, 1)]),
    ],
)
def test_spans_begin_and_end_as_the_conll_script_says(
    tags: str, expected: list[tuple[str, int, int]]
) -> None:
    assert spans(tags.split()) == expected
