"""Which cases of a test are slow proofs, that `make test` leaves to `make proof`."""

from typing import Any

import pytest


def with_proofs(quick: Any, *slow: Any) -> list[Any]:
    """Give the cases of a test: one for `make test`, and those for `make proof`."""
    cases = (each if isinstance(each, tuple) else (each,) for each in slow)
    return [quick, *(pytest.param(*case, marks=pytest.mark.proof) for case in cases)]
