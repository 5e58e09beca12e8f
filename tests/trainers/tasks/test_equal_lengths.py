"""Models that see padding, fed rows of one length at a time."""

from typing import Any

import pytest
import torch
from transformers import (
    AutoModel,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    FNetConfig,
    XLNetConfig,
)

from trainers.tasks.equal_lengths import feed_equal_lengths

LENGTHS = (5, 2, 7, 5)
FNET = FNetConfig(
    vocab_size=40, hidden_size=16, intermediate_size=16, num_hidden_layers=2, num_labels=3
)
XLNET = XLNetConfig(vocab_size=40, d_model=16, d_inner=16, n_layer=2, n_head=2, num_labels=3)


def padded() -> dict[str, torch.Tensor]:
    """Give rows of unlike length, padded on the right."""
    source = torch.Generator().manual_seed(0)
    mask = torch.arange(max(LENGTHS)) < torch.tensor(LENGTHS)[:, None]
    ids = torch.randint(5, 40, mask.shape, generator=source) * mask
    return {"input_ids": ids, "attention_mask": mask.long()}


@pytest.mark.parametrize(
    ("loader", "config", "key"),
    [
        (AutoModelForSequenceClassification, FNET, "logits"),
        (AutoModelForSequenceClassification, XLNET, "logits"),
        (AutoModelForTokenClassification, FNET, "logits"),
        (AutoModel, FNET, "last_hidden_state"),
    ],
)
def test_a_row_in_a_batch_is_answered_as_alone(loader: Any, config: Any, key: str) -> None:
    torch.manual_seed(0)
    model = loader.from_config(config).eval()
    inputs = padded()
    with torch.no_grad():
        alone = [
            model(**{n: v[row : row + 1, :length] for n, v in inputs.items()})[key][0]
            for row, length in enumerate(LENGTHS)
        ]
        before = model(**inputs)[key]
        for _ in range(2):
            feed_equal_lengths(model)
        after = model(**inputs, labels=None)[key]  # as peft passes what nobody gave
    by_token = before.dim() == 3
    assert before.shape == after.shape
    pairs = list(zip(alone, before, after, LENGTHS, strict=True))
    cut = [(a, b[:n], c[:n]) if by_token else (a, b, c) for a, b, c, n in pairs]
    assert not all(torch.allclose(a, b, atol=1e-5) for a, b, _ in cut)
    assert all(torch.allclose(a, c, atol=1e-6) for a, _, c in cut)


def test_the_gradient_is_that_of_the_rows_one_by_one() -> None:
    torch.manual_seed(0)
    config = FNetConfig(**FNET.to_dict() | {"hidden_dropout_prob": 0.0})
    model = AutoModelForSequenceClassification.from_config(config).eval()
    inputs = padded()
    for row, length in enumerate(LENGTHS):
        part = {n: v[row : row + 1, :length] for n, v in inputs.items()}
        (model(**part).logits ** 2).sum().backward()
    alone = {n: p.grad.clone() for n, p in model.named_parameters()}
    model.zero_grad()
    feed_equal_lengths(model)
    (model(**inputs).logits ** 2).sum().backward()
    for name, parameter in model.named_parameters():
        assert torch.allclose(parameter.grad, alone[name], atol=1e-6), name
