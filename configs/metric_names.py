"""Which metrics each task's evaluation gives; how they are computed stands with the tasks."""

from collections.abc import Iterator
from difflib import get_close_matches

from configs.task_sections import (
    InstructionTuning,
    LanguageModeling,
    SentenceEmbedding,
    SequenceToSequence,
    Task,
    writes_in_evaluation,
)

LOSS = "loss"
ONE_LABEL = (
    "accuracy",
    "macro_f1",
    "micro_f1",
    "weighted_f1",
    "macro_precision",
    "macro_recall",
    "mcc",
    "ece",
    "roc_auc",
    "average_precision",
)
LABEL_SETS = (
    "subset_accuracy",
    "macro_f1",
    "micro_f1",
    "weighted_f1",
    "macro_precision",
    "macro_recall",
    "hamming_loss",
    "roc_auc",
    "average_precision",
)
NUMBERS = ("mse", "rmse", "mae", "r2", "pearson", "spearman")
TAGS = ("accuracy", "precision", "recall", "f1", "macro_f1", "weighted_f1")
RETRIEVAL = ("recall_at_1", "recall_at_5", "recall_at_10", "mean_reciprocal_rank")
TEXTS = ("bleu", "chrf", "rouge_1", "rouge_2", "rouge_l")
"""Metrics of texts that the model writes in evaluation."""
BY_KIND = {
    "text_classification": ONE_LABEL,
    "image_classification": (*ONE_LABEL, "top_5_accuracy"),
    "multi_label_classification": LABEL_SETS,
    "text_regression": NUMBERS,
    "token_classification": TAGS,
}


def metric_names(task: Task) -> tuple[str, ...]:
    """Give the names of all metrics that a task may give, without those of a person's own."""
    writes = writes_in_evaluation(task)
    if isinstance(task, SequenceToSequence):
        return (LOSS, "perplexity", *(TEXTS if writes else ()))
    if isinstance(task, LanguageModeling | InstructionTuning):
        return (LOSS, "perplexity", "token_accuracy", *(("exact_match",) if writes else ()))
    if isinstance(task, SentenceEmbedding):
        return (LOSS, *(NUMBERS if task.score is not None else RETRIEVAL))
    return (LOSS, *BY_KIND[task.kind])


def metric_problem(task: Task, name: str, *others: str) -> str | None:
    """Say that a task gives no such metric, of all rows or of one source; None where it may.

    `others` are further words that may stand there. A person's own function may give metrics of any
    name.
    """
    known = (*metric_names(task), *others)
    base = name.partition("/")[0]
    if base in metric_names(task) or name in others or task.metric:
        return None
    if base in _written(task):
        return (
            f"{name} judges texts that are written in evaluation, but "
            "task.generation.evaluation_rows is 0. Raise it"
        )
    near = get_close_matches(base, known, n=1)
    hint = f"Did you mean {near[0]}?" if near else f"Use one of {', '.join(known)}"
    shown = name if name.strip() else repr(name)
    return f"{shown} is no metric of {task.kind}. {hint}"


def _written(task: Task) -> Iterator[str]:
    if isinstance(task, SequenceToSequence):
        yield from TEXTS
    elif isinstance(task, LanguageModeling | InstructionTuning):
        yield "exact_match"
