"""A refused row: it keeps what it says from one process to another."""

import pickle

from trainers.tasks.refusals import RowError


def test_a_refusal_survives_pickling() -> None:
    again = pickle.loads(pickle.dumps(RowError(3, "tags are too many. Drop some")))
    assert (again.index, again.sentence) == (3, "tags are too many. Drop some")
