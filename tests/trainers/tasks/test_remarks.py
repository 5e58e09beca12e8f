"""Sentences that stay with a model until somebody tells them."""

from torch import nn

from trainers.tasks.remarks import remark, remarks_of


def test_remarks_come_in_their_order_and_stay_with_their_model() -> None:
    one, other = nn.Linear(1, 1), nn.Linear(1, 1)
    remark(one, "first")
    remark(one, "second")
    assert remarks_of(one) == ("first", "second") and remarks_of(other) == ()
