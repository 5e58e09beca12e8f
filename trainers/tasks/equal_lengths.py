"""Feed a model that sees padding nothing but rows of one length at a time.

Some models take no mask, or read the last place of a row whatever stands there (FNet, XLNet padded
on the right). Whether a model is one of them is found out by trying, in rehearsal.py.
"""

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

KEY = "equal_lengths"
"""Among the numbers of an export, 1 where its model is fed so."""
FED = {"input_ids", "attention_mask", "token_type_ids"}
"""What a model is fed that can be fed so."""


def feed_equal_lengths(model: Any) -> None:
    """Let a forward pass of a model run once for each length of a row, and join what comes out.

    Rows are padded on the right, `attention_mask` (rows, tokens) tells their lengths. The outputs
    hold the tensors alone that have a row for each row, padded with 0 where they have a token for
    each token. A model that is fed so already stays as it is.
    """
    if sees_padding(model):
        return
    model.forward = _by_length(model.forward)
    model.thaw_equal_lengths = True


def sees_padding(model: Any) -> bool:
    """Say whether a model is fed rows of one length at a time."""
    return bool(getattr(model, "thaw_equal_lengths", False))


def _by_length(forward: Callable[..., Any]) -> Callable[..., Any]:
    import torch

    @wraps(forward)
    def grouped(**inputs: Any) -> Any:
        mask: Tensor = inputs["attention_mask"]
        lengths, width = mask.sum(1), mask.shape[1]
        made: list[Any] = []
        order: list[Tensor] = []
        for length in lengths.unique().tolist():
            places = (lengths == length).nonzero()[:, 0]
            some = {
                name: values[places, :length] if torch.is_tensor(values) else values
                for name, values in inputs.items()
            }
            made.append(forward(**some))
            order.append(places)
        joined = {
            name: _in_order([each[name] for each in made], order, width)
            for name, values in made[0].items()
            if torch.is_tensor(values) and values.dim() and len(values) == len(order[0])
        }
        return type(made[0])(**joined)

    return grouped


def _in_order(parts: "list[Tensor]", order: "list[Tensor]", width: int) -> "Tensor":
    """Join rows in the order that they were fed in; what counts tokens is padded with 0."""
    import torch
    from torch.nn import functional

    axes = {part.shape[1:] for part in parts}
    if len(axes) > 1 or (parts[0].dim() > 2):
        parts = [
            functional.pad(part, (*[0] * (2 * (part.dim() - 2)), 0, width - part.shape[1]))
            for part in parts
        ]
    return torch.cat(parts)[torch.cat(order).argsort()]
