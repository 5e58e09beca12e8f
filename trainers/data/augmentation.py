"""Change texts at random, the same way on every machine; how they become tokens is the task's.

What becomes of a row is a function of (seed, epoch, row id) alone: a run that is resumed, or goes
on with other workers, sees the same texts. Random deletion and swap: Wei and Zou 2019, EDA
(https://arxiv.org/abs/1901.11196).
"""

import random
from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa

from configs.augmentation_sections import Augmentation
from trainers.data.random_order import mixed, order_key

AUGMENT = 4
RAW = "raw."
QWERTY = ("qwertyuiop", "asdfghjkl", "zxcvbnm")

# Draws a number in [0, 1).
Draw = Callable[[], float]


def keep_texts(
    options: Augmentation, columns: Sequence[str], rows: pa.Table, encoded: pa.Table
) -> pa.Table:
    """Add to encoded rows the texts that training will change; nothing where it changes none."""
    for name in columns if options.changes_texts else ():
        encoded = encoded.append_column(RAW + name, rows[name])
    return encoded


def chosen_rows(options: Augmentation, seed: int, epoch: int, row_ids: np.ndarray) -> np.ndarray:
    """Say which rows, by the low halves of their ids, are changed in an epoch."""
    drawn = mixed(order_key(seed, AUGMENT, epoch), row_ids.view(np.int64))
    return np.asarray((drawn >> np.uint64(11)).astype(np.float64) / 2.0**53 < options.probability)


def augment_texts(
    texts: Sequence[str],
    options: Augmentation,
    mask_token: str | None,
    key: tuple[int, int, int],
) -> list[str]:
    """Change the texts of one row; `key` is (seed, epoch, row id)."""
    # Its method `random` gives the same numbers in every version of Python; others may not.
    draw = random.Random(":".join(map(str, key))).random
    operations = options.operations
    if options.mix == "one":
        operations = (operations[int(draw() * len(operations))],)
    changed = list(texts)
    for operation in operations:
        changed = [_change(text, operation, options, mask_token, draw) for text in changed]
    return changed


def _change(
    text: str, operation: str, options: Augmentation, mask_token: str | None, draw: Draw
) -> str:
    words = text.split()
    if not words:
        return text
    if operation == "delete":
        return " ".join(_delete(words, options.delete, draw))
    if operation == "swap":
        return " ".join(_swap(words, options.swap, draw))
    if operation == "mask":
        assert mask_token is not None, "a tokenizer without mask token is refused before"
        return " ".join(mask_token if draw() < options.mask else word for word in words)
    return "".join(_typo(letter, draw) if draw() < options.typos else letter for letter in text)


def _delete(words: list[str], rate: float, draw: Draw) -> list[str]:
    kept = [word for word in words if draw() >= rate]
    return kept or [words[int(draw() * len(words))]]


def _swap(words: list[str], rate: float, draw: Draw) -> list[str]:
    swapped, place = list(words), 0
    while place < len(swapped) - 1:
        if draw() < rate:
            swapped[place], swapped[place + 1] = swapped[place + 1], swapped[place]
            place += 1
        place += 1
    return swapped


def _neighbours() -> dict[str, str]:
    """Give the letters around each letter of the keyboard."""
    near: dict[str, str] = {}
    for height, row in enumerate(QWERTY):
        for place, letter in enumerate(row):
            around = [row[place - 1 : place], row[place + 1 : place + 2]]
            if height > 0:
                around.append(QWERTY[height - 1][place : place + 2])
            if height < len(QWERTY) - 1:
                around.append(QWERTY[height + 1][max(0, place - 1) : place + 1])
            near[letter] = "".join(around)
    return near


NEIGHBOURS = _neighbours()


def _typo(letter: str, draw: Draw) -> str:
    near = NEIGHBOURS.get(letter.lower())
    if near is None:
        return letter
    other = near[int(draw() * len(near))]
    return other.upper() if letter.isupper() else other
