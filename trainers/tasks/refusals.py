"""What a task says about a row that it cannot encode; in which file it stands, others know."""

import re

QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"| \([^)]*\)")
NUMBER = re.compile(r"-?\b\d[\d.,]*\b")


class RowError(Exception):
    """One of the rows handed to `encode` cannot be used."""

    def __init__(self, index: int, sentence: str, reason: str = "") -> None:
        super().__init__(index, sentence, reason)
        self.index = index
        """Place of the row in the table that was handed over."""
        self.sentence = sentence
        """What was asked, what was found, what to do; file and row are put before it."""
        self.reason = reason or _of_any_row(sentence)
        """What is wrong, in words that are the same for each such row."""


def _of_any_row(sentence: str) -> str:
    """Take from a sentence what it says of its row alone: quotes, what is in brackets, numbers."""
    problem = sentence.partition(". ")[0]
    return NUMBER.sub("N", QUOTED.sub("", problem)).strip()
