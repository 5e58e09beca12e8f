"""Give a model room for tokens that its tokenizer has and it has not; which ones, others say."""

from typing import TYPE_CHECKING

from trainers.tasks.remarks import remark

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def grow_embeddings(model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase") -> None:
    """Let the embeddings, and the output embeddings, have a row for each token; none is taken away.

    A new row is the mean of the old ones, which no rank and no seed can change: the new tokens are
    then about as likely as one is on average (Hewitt 2021, https://nlp.stanford.edu/~johnhew/
    vocab-expansion.html). Collective under ZeRO-3, where it runs while HfDeepSpeedConfig is alive.
    """
    import torch

    from trainers.strategy.adapters import slice_like_the_others

    had = getattr(model.config.get_text_config(), "vocab_size", None)
    num_tokens = max(tokenizer.get_vocab().values(), default=-1) + 1
    if had is None or num_tokens <= had:
        return
    model.resize_token_embeddings(num_tokens, mean_resizing=False)
    modules = [model.get_input_embeddings(), model.get_output_embeddings()]
    own = {id(p): p for m in modules if m is not None for p in m.parameters()}
    with torch.no_grad():
        for parameter in own.values():
            parameter[had:] = parameter[:had].mean(0)
    slice_like_the_others(model)
    remark(
        model,
        f"the tokenizer has {num_tokens - had:,} tokens that the model has not: its embeddings "
        f"have grown from {had:,} rows to {num_tokens:,}, each new one the mean of the others",
    )
