"""Metrics of told tags, exact at any number of ranks: of spans where tags mark such, else of tags.

Spans are found and counted as seqeval 1.2.2 does by default, which is what the CoNLL script did: an
I- behind O or behind another type begins a span, and marks without a type are spans of one type, _.
Tags of other schemes say the same in other letters (BILOU, BMES). All metrics come from whole
numbers that ranks add up.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from trainers.metrics import per_class_scores, ratio, score
from trainers.tasks.judging import IGNORED, Scored

if TYPE_CHECKING:
    import torch
    from torch import Tensor

SCHEMES = ("BIES", "BILU", "BMES")
"""What a tag of a span begins with: its first word, one inside, its last, its only one."""
MEANING = {"M": "I", "L": "E", "U": "S"}
NO_TYPE = "_"
Span = tuple[str, int, int]
"""Type, first word and last word."""


class TagScores:
    """Counts over the words seen so far, on one rank."""

    def __init__(self, label_names: tuple[str, ...], device: "torch.device | str") -> None:
        import torch

        self._names = label_names
        self._types = span_types(label_names)
        size = len(label_names)
        self._confusion = torch.zeros(size, size, dtype=torch.int64, device=device)
        # Spans told rightly, told, and there, by type.
        self._spans = torch.zeros(3, len(self._types), dtype=torch.int64, device=device)

    def update(self, answer: Any, counted: "Tensor") -> None:
        """Count the words of `labels` and `predicted`, each (rows, tokens)."""
        import torch

        labels, predicted = answer.labels[counted], answer.predicted[counted]
        tagged = labels != IGNORED
        size = len(self._names)
        pairs = labels[tagged] * size + predicted[tagged]
        self._confusion += torch.bincount(pairs, minlength=size**2).view(size, size)
        if self._types:
            found = self._count_spans(labels.cpu(), predicted.cpu(), tagged.cpu())
            self._spans += torch.from_numpy(found).to(self._spans.device)

    def compute(self) -> Scored:
        """Score the words of all ranks. Collective: every rank calls this."""
        from trainers.agreement import joined

        confusion = joined(self._confusion.clone()).cpu().numpy()
        hits, told, support = joined(self._spans.clone()).cpu().numpy()
        of_tags = score(self._names, confusion, None)
        if not self._types:
            return replace(of_tags, remarks=self._remarks())
        f1, occurs = ratio(2 * hits, told + support), told + support > 0
        metrics = {
            "accuracy": of_tags.metrics["accuracy"],
            "precision": int(hits.sum()) / max(1, int(told.sum())),
            "recall": int(hits.sum()) / max(1, int(support.sum())),
            "f1": 2 * int(hits.sum()) / max(1, int((told + support).sum())),
            "macro_f1": float(f1[occurs].mean()) if occurs.any() else float("nan"),
            "weighted_f1": float((f1 * support).sum() / max(1, int(support.sum()))),
        }
        if not occurs.any():
            # Neither a span nor one told: there is nothing that was found or missed.
            spanless = dict.fromkeys(metrics, float("nan"))
            metrics = {**spanless, "accuracy": metrics["accuracy"]}
        per_class = per_class_scores(self._types, hits, told, support)
        remarks = _left_out(
            [name for name, here in zip(self._types, occurs, strict=True) if not here]
        )
        return Scored(metrics, self._names, per_class, confusion, remarks=remarks)

    def _remarks(self) -> tuple[str, ...]:
        """Say that tags are scored one by one, and which of them marks no span."""
        odd = [tag for tag in self._names if tag != "O" and not _is_marked(tag)]
        why = f"{odd[0]} marks no span" if odd else "their marks are of no one scheme"
        return (
            f"tags are scored one by one, not as spans: {why} (spans are marked as in BIO, BIOES, "
            "BILOU or BMES, with or without a type)",
        )

    def _count_spans(self, labels: "Tensor", predicted: "Tensor", tagged: "Tensor") -> np.ndarray:
        counts = np.zeros((3, len(self._types)), np.int64)
        place = {name: number for number, name in enumerate(self._types)}
        for row, mask in enumerate(tagged):
            there, told = (
                set(spans([self._names[tag] for tag in part[row][mask].tolist()]))
                for part in (labels, predicted)
            )
            for number, found in enumerate((there & told, told, there)):
                for kind, _, _ in found:
                    counts[number, place[kind]] += 1
        return counts


def span_types(tags: Sequence[str]) -> tuple[str, ...]:
    """Give the types of spans that tags mark, sorted; none where other tags are among them."""
    if scheme_of(tags) is None:
        return ()
    return tuple(sorted({_parts(tag)[1] for tag in tags if tag != "O"}))


def scheme_of(tags: Sequence[str]) -> str | None:
    """Return the marks of the first scheme that all tags are of; None for none.

    Letters alone, without O and without a beginning, are no marks: S and M may be anything.
    """
    marked = [tag for tag in tags if tag != "O"]
    marks = {tag[:1] for tag in marked}
    if not marked or not all(map(_is_marked, marked)):
        return None
    if "O" not in tags and "B" not in marks and all(len(tag) == 1 for tag in marked):
        return None
    return next((scheme for scheme in SCHEMES if marks <= set(scheme)), None)


def _is_marked(tag: str) -> bool:
    """Say whether a tag is a mark, alone or with a type behind it."""
    return tag[:1] in set("".join(SCHEMES)) and (len(tag) == 1 or (tag[1] == "-" and len(tag) > 2))


def _parts(tag: str) -> tuple[str, str]:
    """Split a tag into its mark, in the letters of BIOES, and its type."""
    return MEANING.get(tag[0], tag[0]), tag[2:] or NO_TYPE


def _left_out(types: Sequence[str]) -> tuple[str, ...]:
    if not types:
        return ()
    return (
        f"macro_f1 leaves out {', '.join(types)}: no such span is in the rows, and none was told",
    )


def spans(tags: Sequence[str]) -> list[Span]:
    """Find the spans that a row's tags mark, first to last."""
    found: list[Span] = []
    first, before, kind_before = 0, "O", ""
    for place, tag in enumerate([*tags, "O"]):
        mark, kind = _parts(tag)
        within = before != "O"
        if within and (mark in "BSO" or before in "ES" or kind != kind_before):
            found.append((kind_before, first, place - 1))
        if mark != "O" and (not within or mark in "BS" or before in "ES" or kind != kind_before):
            first = place
        before, kind_before = mark, kind
    return found
