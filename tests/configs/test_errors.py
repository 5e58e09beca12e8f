"""Errors cross process borders and have one exit code each."""

import pickle

import pytest

from configs.errors import THAW_ERRORS


@pytest.mark.parametrize("kind", THAW_ERRORS)
def test_an_error_survives_pickling(kind):
    again = pickle.loads(pickle.dumps(kind("asked, found, do")))
    assert (type(again), str(again)) == (kind, "asked, found, do")


def test_every_class_has_its_own_exit_code():
    codes = [kind.exit_code for kind in THAW_ERRORS]
    assert sorted(codes) == list(range(1, 10))
