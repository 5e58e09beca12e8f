"""Row ids: a row's own content and nothing else."""

import numpy as np
import pyarrow as pa
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from trainers.data.row_ids import HIGH_SEED, LOW_SEED, buckets, draws, row_ids

texts = st.text(max_size=12)


def framed(*values: str) -> bytes:
    encoded = [value.encode() for value in values]
    return b"".join(len(value).to_bytes(8, "little") + value for value in encoded)


@given(st.lists(st.tuples(texts, texts, texts), max_size=20), st.integers(0, 5))
def test_ids_hash_length_prefixed_utf8(rows: list[tuple[str, str, str]], offset: int) -> None:
    columns = [pa.array(column, pa.string()) for column in zip(*rows, strict=True)] or [
        pa.array([], pa.string())
    ] * 3
    first, second, target = (column[offset:] for column in columns)
    high, low = row_ids([first, second], target)
    assert high.tolist() == [
        xxhash.xxh3_64_intdigest(framed(a, b), HIGH_SEED) for a, b, _ in rows[offset:]
    ]
    assert low.tolist() == [
        xxhash.xxh3_64_intdigest(framed(*row), LOW_SEED) for row in rows[offset:]
    ]


def test_without_a_target_both_halves_hash_the_inputs() -> None:
    high, low = row_ids([pa.array(["a", "b"])], None)
    assert high.tolist() == [xxhash.xxh3_64_intdigest(framed(a), HIGH_SEED) for a in "ab"]
    assert low.tolist() == [xxhash.xxh3_64_intdigest(framed(a), LOW_SEED) for a in "ab"]


def test_shifting_text_between_columns_changes_the_id() -> None:
    high, _ = row_ids([pa.array(["ab", "a"]), pa.array(["c", "bc"])], pa.array(["x", "x"]))
    assert high[0] != high[1]


def test_large_strings_hash_like_strings() -> None:
    small, large = pa.array(["one", "two"]), pa.array(["one", "two"], pa.large_string())
    assert [*row_ids([small], small)[1]] == [*row_ids([large], large)[1]]


def test_buckets_follow_the_order_of_ids() -> None:
    high = np.sort(np.random.default_rng(0).integers(0, 2**64, 1000, np.uint64))
    for num_buckets in (1, 2, 8):
        found = buckets(high, num_buckets)
        assert (np.diff(found) >= 0).all()
        assert set(found) == set(range(num_buckets))


def test_draws_are_even_and_unrelated_to_the_order() -> None:
    # 100,000 draws: the standard deviation of the share below 0.1 is 0.00095; of the correlation
    # with the id 0.0032. Five of them are allowed.
    high = np.random.default_rng(1).integers(0, 2**64, 100_000, np.uint64)
    drawn = draws(high)
    assert drawn.min() >= 0 and drawn.max() < 1
    assert abs((drawn < 0.1).mean() - 0.1) < 5 * 0.00095
    assert abs(np.corrcoef(high.astype(float), drawn)[0, 1]) < 5 * 0.0032
