"""Tiny random models of families that do something in a way of their own, and their tokenizers."""

from pathlib import Path
from typing import Any

from tests.tiny import make_tokenizer
from tests.tiny_causal import make_byte_tokenizer

SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 66,
}


def make_encoder(path: Path, family: str) -> Path:
    """Save a model that reads texts, with two blocks and a tokenizer of whole words."""
    from transformers import AutoModel

    tokenizer = make_tokenizer("bert")
    ids = {"vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id}
    return _save(path, AutoModel, _encoder(family, ids), tokenizer)


def make_writer(path: Path, family: str) -> Path:
    """Save a model that goes on writing, with two blocks and a tokenizer of bytes."""
    from transformers import AutoModelForCausalLM

    tokenizer = make_byte_tokenizer()
    end = tokenizer.eos_token_id
    ids = {"vocab_size": len(tokenizer), "bos_token_id": end, "eos_token_id": end}
    return _save(path, AutoModelForCausalLM, _writer(family, ids), tokenizer)


def _save(path: Path, loader: Any, config: Any, tokenizer: Any) -> Path:
    import torch

    config.initializer_range = 0.2  # of the usual one all rows look much alike
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        model = loader.from_config(config)
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


def _encoder(family: str, ids: dict[str, int]) -> Any:
    import transformers as of

    some = {**ids, **SIZES}
    if family == "xlnet":
        return of.XLNetConfig(**ids, d_model=32, n_layer=2, n_head=4, d_inner=64)
    if family == "funnel":
        return of.FunnelConfig(
            **ids, d_model=32, n_head=4, d_head=8, d_inner=64, block_sizes=[1, 1],
            num_decoder_layers=1, architectures=["FunnelModel"],
        )  # fmt: skip
    if family == "longformer":
        return of.LongformerConfig(**some, attention_window=[8, 8])
    if family == "electra":
        return of.ElectraConfig(**some, embedding_size=16)
    kinds = {"deberta": of.DebertaV2Config, "mpnet": of.MPNetConfig, "fnet": of.FNetConfig}
    return kinds[family](**some)


def _writer(family: str, ids: dict[str, int]) -> Any:
    import transformers as of

    if family == "bloom":
        return of.BloomConfig(**ids, hidden_size=32, n_layer=2, n_head=4)
    if family == "falcon":
        return of.FalconConfig(**ids, hidden_size=32, num_hidden_layers=2, num_attention_heads=4)
    if family == "mamba":
        return of.MambaConfig(**ids, hidden_size=32, num_hidden_layers=2, state_size=4)
    if family == "opt":
        return of.OPTConfig(
            **ids, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, ffn_dim=64,
            word_embed_proj_dim=32, max_position_embeddings=128,
        )  # fmt: skip
    if family in ("gpt_neo", "gpt_neo_long"):
        most = 48 if family == "gpt_neo" else 160
        return of.GPTNeoConfig(
            **ids, hidden_size=32, num_layers=2, num_heads=4, max_position_embeddings=most,
            attention_types=[[["global", "local"], 1]], window_size=16,
        )  # fmt: skip
    if family == "gpt_neox":
        return of.GPTNeoXConfig(**ids, **SIZES)
    return of.LlamaConfig(**ids, **SIZES, num_key_value_heads=2)
