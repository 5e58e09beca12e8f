"""Changes of texts: bounded, seeded by row, the same on every machine."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from configs.augmentation_sections import Augmentation
from trainers.data.augmentation import NEIGHBOURS, augment_texts, chosen_rows

TEXT = "the quick brown fox jumps over the lazy dog near the river bank today"
texts = st.text(alphabet="abc XYZ.\n", max_size=60)


def changed(text: str, key: tuple[int, int, int] = (0, 0, 1), **options: object) -> str:
    given_options = Augmentation.model_validate(options)
    (result,) = augment_texts([text], given_options, "[MASK]", key)
    return result


@given(texts, st.integers(0, 2**64 - 1))
def test_deletion_keeps_the_order_and_at_least_one_word(text: str, row: int) -> None:
    left = changed(text, (0, 0, row), delete=0.9).split()
    rest = iter(text.split())
    assert all(word in rest for word in left)
    assert bool(left) == bool(text.split())


@given(texts, st.integers(0, 2**64 - 1))
def test_swapping_moves_each_word_by_one_at_most(text: str, row: int) -> None:
    words, swapped = text.split(), changed(text, (0, 0, row), swap=0.5).split()
    assert sorted(words) == sorted(swapped)
    assert all(word in words[max(0, i - 1) : i + 2] for i, word in enumerate(swapped))


def test_masks_stand_for_words() -> None:
    masked = changed(TEXT, mask=0.4).split()
    assert len(masked) == len(TEXT.split())
    assert 0 < masked.count("[MASK]") < len(masked)
    assert all(a in (b, "[MASK]") for a, b in zip(masked, TEXT.split(), strict=True))


def test_typos_are_neighbours_on_the_keyboard() -> None:
    assert set(NEIGHBOURS["g"]) == set("fhtyvb")
    assert set(NEIGHBOURS["q"]) == set("wa")
    typed = changed("Good Grief, 42!", typos=1.0)
    pairs = list(zip("Good Grief, 42!", typed, strict=True))
    assert all(b.lower() in NEIGHBOURS[a.lower()] for a, b in pairs if a.isalpha())
    assert all(a == b for a, b in pairs if not a.isalpha())
    assert all(a.isupper() == b.isupper() for a, b in pairs)


def test_rates_are_shares() -> None:
    long = "word " * 20_000
    # 20,000 draws at 0.1: the standard deviation of the share is 0.0021.
    assert abs(1 - len(changed(long, delete=0.1).split()) / 20_000 - 0.1) < 5 * 0.0021
    assert abs(changed(long, mask=0.1).split().count("[MASK]") / 20_000 - 0.1) < 5 * 0.0021


def test_one_or_all_of_the_changes() -> None:
    every = changed("one two three four", mask=1.0, typos=1.0, mix="all")
    assert "[MASK]" not in every
    one = {changed("one two", (0, 0, row), mask=1.0, delete=1.0) for row in range(40)}
    assert one == {"[MASK] [MASK]", "one", "two"}


def test_a_row_depends_on_seed_epoch_and_id_alone() -> None:
    options = {"swap": 0.5}
    first = changed(TEXT, (1, 2, 3), **options)
    assert first == changed(TEXT, (1, 2, 3), **options)
    others = {changed(TEXT, key, **options) for key in ((0, 2, 3), (1, 0, 3), (1, 2, 0))}
    assert len(others | {first}) == 4
    # Written down once: a change of this text changes what a resumed run sees.
    assert first == EXPECTED


def test_chosen_rows_are_the_share_asked_for_and_other_ones_each_epoch() -> None:
    ids = np.arange(20_000, dtype=np.uint64)
    options = Augmentation(probability=0.3, swap=0.1)
    first, second = (chosen_rows(options, 0, epoch, ids) for epoch in (0, 1))
    # The standard deviation of the share is 0.0032.
    assert abs(first.mean() - 0.3) < 5 * 0.0032
    assert abs((first & second).mean() - 0.09) < 5 * 0.0032
    assert chosen_rows(options, 0, 0, ids[5:9]).tolist() == first[5:9].tolist()


EXPECTED = "quick the brown fox over jumps lazy the near dog river the today bank"
