"""Tiny language models and prompts with answers, made on the spot; nothing is downloaded."""

import json
import random
from pathlib import Path
from typing import Any

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""The template of the Qwen2 family."""
FAMILIES = ("gpt2", "llama", "qwen2", "qwen3")
COLOURS = ("red", "green", "blue", "white", "black")
THINGS = ("door", "house", "stone", "river", "glass", "chair", "cloud")


def make_causal_folder(
    path: Path, family: str = "llama", template: str | None = None, dropout: float = 0.0
) -> Path:
    """Save a random language model of two blocks and a tokenizer of bytes."""
    import torch
    from transformers import AutoModelForCausalLM

    tokenizer = make_byte_tokenizer(template)
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(_config(family, tokenizer, dropout))
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


def make_byte_tokenizer(template: str | None = None) -> Any:
    """Make a tokenizer whose tokens are bytes and a few special ones; it adds none of them."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    special = ["<|end|>", "<|im_start|>", "<|im_end|>"]
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: place for place, token in enumerate([*special, *letters])}
    inner = Tokenizer(models.BPE(vocabulary, []))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner,
        eos_token="<|end|>",
        additional_special_tokens=["<|im_start|>", "<|im_end|>"],
        model_max_length=256,
    )
    tokenizer.chat_template = template
    return tokenizer


def make_prompts(path: Path, rows: int, seed: int = 0) -> Path:
    """Write JSON lines with distinct prompts and their answers, of different lengths."""
    source = random.Random(seed)
    found: dict[str, str] = {}
    while len(found) < rows:
        said = [source.choice(COLOURS) for _ in range(source.randint(1, 4))]
        thing = source.choice(THINGS)
        found[f"{' '.join(said)} {thing} {seed}?"] = f" {thing} {said[0]}" * source.randint(1, 2)
    lines = [json.dumps({"prompt": p, "completion": c}) for p, c in sorted(found.items())]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    return path


def _config(family: str, tokenizer: Any, dropout: float) -> Any:
    from transformers import GPT2Config, LlamaConfig, Qwen2Config, Qwen3Config

    end = tokenizer.eos_token_id
    ids = {"vocab_size": len(tokenizer), "bos_token_id": end, "eos_token_id": end}
    if family == "gpt2":
        rates = dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), dropout)
        return GPT2Config(**ids, **rates, n_embd=32, n_layer=2, n_head=4, n_positions=128)
    small = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 128,
        "attention_dropout": dropout,
    }
    if family == "qwen3":
        return Qwen3Config(**ids, **small, head_dim=8, tie_word_embeddings=True)
    kinds = {"llama": LlamaConfig, "qwen2": Qwen2Config}
    return kinds[family](**ids, **small)
