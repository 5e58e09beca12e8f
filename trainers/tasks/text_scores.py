"""Compare texts that a model wrote with those it was to write, exactly at any number of ranks.

Each row gives numbers that add up over rows, and ranks: which rows stand together does not matter.
BLEU (Papineni et al. 2002) and chrF (Popovic 2015) are sacrebleu's, of the whole split; ROUGE (Lin
2004) is rouge-score's, the mean of the rows' F1.
"""

import math
import re
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from trainers.metrics import share
from trainers.tasks.judging import Scored

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from trainers.tasks.sequence_to_sequence import Answer

ROUGE = {"rouge1": "rouge_1", "rouge2": "rouge_2", "rougeL": "rouge_l"}
"""Names that rouge-score gives, and ours."""
WORDS = re.compile(r"[^\W_]+")
LARGEST_LOG = 700.0
"""Its exponential is still a float."""


class TextScores:
    """Sums over the rows seen so far, on one rank."""

    def __init__(self, device: "torch.device | str") -> None:
        self._device = device
        self._loss = 0.0
        self._targets = 0
        self._rows = 0
        self._bleu = np.zeros(len(bleu_counts("", "")), np.int64)
        self._chrf = np.zeros(len(chrf_counts("", "")), np.int64)
        self._rouge = np.zeros(len(ROUGE), np.float64)

    def update(self, answer: "Answer", counted: "Tensor") -> None:
        """Take in an answer, but for the rows where `counted`, (rows,), is False."""
        self._loss += float(answer.losses[counted].sum())
        self._targets += int(answer.targets[counted].sum())
        for row, text in answer.texts.items():
            if counted[row]:
                expected = answer.expected[row]
                self._rows += 1
                self._bleu += bleu_counts(text, expected)
                self._chrf += chrf_counts(text, expected)
                self._rouge += rouge(text, expected)

    def compute(self) -> Scored:
        """Score the rows of all ranks; the texts only where there are any. Collective."""
        import torch

        from trainers.agreement import joined, reduced

        counts = [self._targets, self._rows, *self._bleu.tolist(), *self._chrf.tolist()]
        targets, rows, *found = reduced(counts).tolist()
        sums = torch.tensor([self._loss, *self._rouge], dtype=torch.float64, device=self._device)
        loss, *rouges = joined(sums).tolist()
        metrics = {"perplexity": math.exp(min(share(loss, targets), LARGEST_LOG))}
        if rows:
            bleu, chrf = _metrics()
            metrics["bleu"] = float(bleu._aggregate_and_compute([found[: len(self._bleu)]]).score)
            metrics["chrf"] = float(chrf._aggregate_and_compute([found[len(self._bleu) :]]).score)
            means = (value / rows for value in rouges)
            metrics |= dict(zip(ROUGE.values(), means, strict=True))
        return Scored(metrics)


def bleu_counts(text: str, expected: str) -> np.ndarray:
    """Count what BLEU is computed from: lengths, then n-grams that match and all, (10,) int64."""
    return _counts(_metrics()[0], text, expected)


def chrf_counts(text: str, expected: str) -> np.ndarray:
    """Count what chrF is computed from, (18,) int64: n-grams of both, and those that match."""
    return _counts(_metrics()[1], text, expected)


def rouge(text: str, expected: str) -> np.ndarray:
    """Give ROUGE-1, -2 and -L of a row, each the F1 in [0, 1]: (3,) float64."""
    found = _rouge_scorer().score(expected, text)
    return np.array([found[name].fmeasure for name in ROUGE])


def _counts(metric: Any, text: str, expected: str) -> np.ndarray:
    # What sacrebleu 2 keeps of each row for its tests of significance; corpus_score adds it up.
    (counts,) = metric._extract_corpus_statistics([text], [[expected]])
    return np.array(counts, np.int64)


@cache
def _metrics() -> tuple[Any, Any]:
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF

    # Without force it warns of texts whose last word stands apart from the full stop.
    return BLEU(force=True), CHRF()


@cache
def _rouge_scorer() -> Any:
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(list(ROUGE), tokenizer=_Words())


class _Words:
    """Cuts text into words of letters and digits; rouge-score itself knows English alone."""

    def tokenize(self, text: str) -> list[str]:
        return WORDS.findall(text.lower())
