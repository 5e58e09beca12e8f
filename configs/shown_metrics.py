"""Which metrics a person looks at first; what they mean stands with each task."""

from collections.abc import Iterable

FIRST = (
    "f1",
    "macro_f1",
    "accuracy",
    "bleu",
    "chrf",
    "rmse",
    "spearman",
    "recall_at_1",
    "mean_reciprocal_rank",
    "perplexity",
    "exact_match",
    "loss",
)


def first_metrics(names: Iterable[str]) -> list[str]:
    """Give the few names a person looks at first, or all where none of them is there."""
    there = list(names)
    return [name for name in FIRST if name in there] or there
