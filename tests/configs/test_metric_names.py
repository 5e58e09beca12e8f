"""Which metrics a task gives, against those that are computed."""

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter

from configs import metric_names
from configs.metric_names import metric_problem
from configs.shown_metrics import FIRST
from configs.task_sections import Task
from trainers import token_metrics
from trainers.early_stopping import FALLING
from trainers.tasks import retrieval_scores, text_scores


def task(kind: str, **more: object) -> Task:
    return TypeAdapter(Task).validate_python({"kind": kind, **more})


def test_names_are_those_that_are_computed() -> None:
    # Those of labels, numbers and retrieval are compared where they are computed.
    assert metric_names.RETRIEVAL[:-1] == tuple(f"recall_at_{n}" for n in retrieval_scores.FIRST)
    assert metric_names.TEXTS[2:] == tuple(text_scores.ROUGE.values())


def test_names_of_texts_and_tokens_are_those_that_are_computed() -> None:
    scores = text_scores.TextScores("cpu")
    scores._bleu += text_scores.bleu_counts("a b c d", "a b c d")
    scores._chrf += text_scores.chrf_counts("a b c d", "a b c d")
    scores._rows = scores._targets = 1
    written = metric_names.metric_names(task("sequence_to_sequence"))
    assert {"loss", *scores.compute().metrics} == set(written)
    tokens = token_metrics.TokenScores("cpu")
    tokens._sums += torch.ones_like(tokens._sums)
    generation = {"evaluation_rows": 1}
    both = metric_names.metric_names(task("instruction_tuning", generation=generation))
    assert {"loss", *tokens.compute().metrics} == set(both)


def test_names_of_tags_are_those_that_are_computed() -> None:
    from trainers.tasks.tag_scores import TagScores

    assert {"loss", *TagScores(("B-x", "O"), "cpu").compute().metrics} == set(
        metric_names.metric_names(task("token_classification"))
    )
    assert np.isin(sorted(FALLING), [*known(), "loss"]).all() and set(FIRST) <= known()


def known() -> set[str]:
    generation = {"evaluation_rows": 1}
    tasks = [
        *(task(kind) for kind in metric_names.BY_KIND),
        task("sequence_to_sequence"),
        task("language_modeling", generation=generation),
        task("sentence_embedding"),
    ]
    return {name for each in tasks for name in metric_names.metric_names(each)}


@pytest.mark.parametrize(
    ("kind", "name", "said"),
    [
        ("text_classification", "nope", "Use one of loss, accuracy"),
        ("text_classification", "macro-f1", "Did you mean macro_f1?"),
        ("text_regression", "accuracy", "is no metric of text_regression"),
        ("image_classification", "top5_accuracy", "Did you mean top_5_accuracy?"),
        ("language_modeling", "exact_match", "evaluation_rows is 0. Raise it"),
        ("sentence_embedding", "spearman", "is no metric of sentence_embedding"),
    ],
)
def test_a_metric_that_no_evaluation_gives_is_refused(kind: str, name: str, said: str) -> None:
    assert said in str(metric_problem(task(kind), name))


def test_metrics_of_sources_and_of_own_functions_are_taken() -> None:
    assert metric_problem(task("text_classification"), "accuracy/web") is None
    assert metric_problem(task("text_classification", metric=["m:kappa"]), "anything") is None
    assert metric_problem(task("sentence_embedding", score="score"), "spearman") is None
    assert metric_problem(task("image_classification"), "top_5_accuracy") is None
