"""Seeds belong to places."""

from hypothesis import given
from hypothesis import strategies as st

from trainers.seeds import derive_seed


@given(st.lists(st.tuples(*[st.integers(0, 10**6)] * 4), unique=True, max_size=50))
def test_each_place_has_its_own_seed_that_torch_takes(places: list[tuple[int, ...]]) -> None:
    seeds = [derive_seed(*place) for place in places]
    assert len(set(seeds)) == len(places)
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_a_seed_is_the_same_on_every_machine_and_python() -> None:
    # A change of this number changes every run: the first 8 bytes of blake2b, halved.
    assert derive_seed(0, "new", "classifier.weight") == 799206056030530495
    assert derive_seed(0, 1, 2) != derive_seed(0, 12)
