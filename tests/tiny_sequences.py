"""Tiny encoder-decoders with tokenizers, and pairs of texts, made on the spot."""

import csv
import random
from pathlib import Path
from typing import Any

NUMBERS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
ZAHLEN = ["null", "eins", "zwei", "drei", "vier", "fuenf", "sechs", "sieben", "acht", "neun"]
WRITERS = ("t5", "bart", "marian")


def make_pairs(path: Path, rows: int, seed: int = 0) -> Path:
    """Write distinct rows whose target is the source in other words, in columns english, german."""
    drawn = random.Random(seed)
    seen: set[tuple[int, ...]] = set()
    while len(seen) < rows:
        seen.add(tuple(drawn.choices(range(10), k=drawn.randint(2, 7))))
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(("english", "german"))
        for digits in sorted(seen):
            writer.writerow(" ".join(words[d] for d in digits) for words in (NUMBERS, ZAHLEN))
    return path


def make_writer_folder(path: Path, kind: str = "t5", seed: int = 0) -> Path:
    """Save a random encoder-decoder (t5, bart, marian) and its tokenizer as a folder."""
    import torch
    from transformers import AutoModelForSeq2SeqLM

    tokenizer = make_writer_tokenizer()
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        model = AutoModelForSeq2SeqLM.from_config(_config(kind, tokenizer))
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


def make_writer_tokenizer() -> Any:
    """Make a tokenizer of whole words that puts an end token behind each text."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = ["<pad>", "</s>", "<unk>", *NUMBERS, *ZAHLEN, "translate:"]
    inner = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    inner.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
        model_max_length=64,
        model_input_names=["input_ids", "attention_mask"],
    )


def _config(kind: str, tokenizer: Any) -> Any:
    from transformers import BartConfig, MarianConfig, T5Config

    tokens = {
        "vocab_size": len(tokenizer),
        "pad_token_id": 0,
        "eos_token_id": 1,
        "decoder_start_token_id": 0,
    }
    if kind == "t5":
        return T5Config(
            d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4, dropout_rate=0.0, **tokens
        )
    like_bart = {
        "d_model": 32,
        "encoder_layers": 2,
        "decoder_layers": 2,
        "encoder_attention_heads": 4,
        "decoder_attention_heads": 4,
        "encoder_ffn_dim": 64,
        "decoder_ffn_dim": 64,
        "max_position_embeddings": 64,
        "dropout": 0.0,
        "bos_token_id": None,
        "forced_eos_token_id": None,
    }
    config = {"bart": BartConfig, "marian": MarianConfig}[kind]
    return config(**like_bart, **tokens)
