"""Choose the few rows of an evaluation that are shown; how they are shown is the tracker's."""

from collections.abc import Sequence

from trainers.tasks.judging import Sample

MOST_LOOKED_AT = 50
"""Microbatches whose rows are looked at: writing rows out as text takes time."""


def chosen(samples: Sequence[Sample], count: int) -> list[Sample]:
    """Choose rows, half of them told wrong where there are so many, spread over all.

    A split is fed in the order of lengths, so that the first rows are the shortest.
    """
    wrong = [sample for sample in samples if sample.label != sample.prediction]
    right = [sample for sample in samples if sample.label == sample.prediction]
    shown = _spread(wrong, max(count // 2, count - len(right)))
    return [*shown, *_spread(right, count - len(shown))]


def _spread(samples: Sequence[Sample], count: int) -> list[Sample]:
    if len(samples) <= count:
        return list(samples)
    return [samples[place * len(samples) // count] for place in range(count)]
