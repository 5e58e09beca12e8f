"""Keep with a model what was done to it while it was built, until somebody can tell a person."""

from typing import Any


def remark(model: Any, text: str) -> None:
    """Put one sentence about a model to those that it has."""
    model.thaw_remarks = (*remarks_of(model), text)


def remarks_of(model: Any) -> tuple[str, ...]:
    """Give the sentences about a model, in the order in which they came."""
    return getattr(model, "thaw_remarks", ())
