"""Near-duplicates: shingles are sets, similar texts share a band, pairs are not quadratic."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configs.cleaning_sections import NearDuplicates
from trainers.data.near_duplicates import (
    PARTNERS,
    RECALL,
    band_hashes,
    bands,
    jaccard,
    pair_up,
    shingle,
)


def column(texts: list[str]) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(texts, pa.string())])


words = st.lists(st.sampled_from("abcdef"), min_size=1, max_size=12)


@given(st.lists(words, min_size=1, max_size=5), st.integers(1, 4))
@settings(deadline=None)
def test_similarity_is_that_of_sets_of_word_tuples(texts: list[list[str]], size: int) -> None:
    found = shingle([column([" ".join(text) for text in texts])], size)
    sets = [
        {tuple(text[start : start + size]) for start in range(max(1, len(text) - size + 1))}
        for text in texts
    ]
    for row, expected in enumerate(sets):
        assert len(found.of_row(row)) == len(expected)
        same = len(sets[0] & expected) / len(sets[0] | expected)
        assert jaccard(found.of_row(0), found.of_row(row)) == same


def test_case_and_white_space_do_not_count_but_the_column_does() -> None:
    found = shingle([column(["A  b c\n", "a b c"])], 2)
    assert jaccard(found.of_row(0), found.of_row(1)) == 1
    pair = shingle([column(["x", "y"]), column(["y", "x"])], 2)
    assert jaccard(pair.of_row(0), pair.of_row(1)) == 0


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.8, 0.95, 1.0])
def test_bands_find_a_pair_at_the_threshold(threshold: float) -> None:
    number, rows = bands(NearDuplicates(threshold=threshold))
    assert number * rows <= 128
    assert 1 - (1 - threshold**rows) ** number >= RECALL


def test_pairs_share_a_band_as_often_as_theory_says() -> None:
    # Pairs of texts of 40 words, 36 of them the same at the start: with shingles of one word the
    # similarity is 36 / 44 = 0.818, and each pair is found with a chance of 0.98 at least.
    rules = NearDuplicates(threshold=0.8, shingle_words=1)
    texts = []
    for pair in range(300):
        same = [f"w{pair}.{n}" for n in range(36)]
        texts += [" ".join([*same, *(f"v{pair}.{n}.{side}" for n in range(4))]) for side in "ab"]
    found = band_hashes(shingle([column(texts)], 1), rules)
    together = (found[0::2] == found[1::2]).any(axis=1)
    # 300 pairs, chance 0.98: the mean is 294, the standard deviation 2.4; five are allowed.
    assert together.sum() > 294 - 5 * 2.4
    # Texts with nothing in common share no band.
    assert not (found[0:-2:2] == found[2::2]).any()


def test_signatures_do_not_depend_on_the_rows_beside() -> None:
    texts = [f"some words and number {n}" for n in range(50)]
    rules = NearDuplicates()
    together = band_hashes(shingle([column(texts)], 2), rules)
    alone = np.concatenate([band_hashes(shingle([column([text])], 2), rules) for text in texts])
    assert (together == alone).all()


def test_each_row_is_paired_with_the_strongest_and_a_few_others() -> None:
    count = 50
    keys = np.repeat(np.array([5, 3], np.uint64), [count, 2])
    strength = np.zeros(count + 2, np.int8)
    strength[7] = 2
    high = np.arange(count + 2, dtype=np.uint64)[::-1].copy()
    weak, strong = pair_up(keys, strength, high)
    pairs = set(zip(weak.tolist(), strong.tolist(), strict=True))
    assert len(pairs) == len(weak) <= (PARTNERS + 1) * (count + 2)
    assert (50, 51) in pairs
    # Row 7 is the strongest of its key: all others of the key are paired with it.
    assert {row for row, other in pairs if other == 7} == set(range(count)) - {7}
    stronger = {(row, other) for row, other in pairs if other != 7 and row < count}
    assert all(high[other] < high[row] for row, other in stronger)
