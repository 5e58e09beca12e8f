"""Write a small encoder-decoder without weights: a config, and a tokenizer made from texts.

It is a model folder of Hugging Face like any other; what loads it draws the weights.
"""

import gzip
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

TOKENS = 3000
WIDTH = 128
ENCODER_BLOCKS, DECODER_BLOCKS = 3, 2
LONGEST = 128
PADDING, END = "<pad>", "</s>"


def write_model(folder: Path, files: Sequence[Path]) -> Path:
    """Write config and tokenizer for the lines of text files, .gz or not, of both languages; once.

    The tokenizer gives back every text as it was.
    """
    if (folder / "config.json").exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    tokens = _write_tokenizer(folder, files)
    _write(folder / "tokenizer_config.json", _tokenizer_config())
    _write(folder / "config.json", _config(tokens))  # last: it says that the folder is whole
    return folder


def _lines(files: Sequence[Path]) -> Iterator[str]:
    for path in files:
        opened = gzip.open if path.suffix == ".gz" else open
        with opened(path, "rt", encoding="utf-8") as stream:
            yield from (line.rstrip("\n") for line in stream)


def _write_tokenizer(folder: Path, files: Sequence[Path]) -> int:
    """Learn which bytes often stand together; gives the number of tokens."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=TOKENS,
        special_tokens=[PADDING, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_lines(files), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"$A {END}",
        pair=f"$A {END} $B {END}",
        special_tokens=[(END, tokenizer.token_to_id(END))],
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    return int(tokenizer.get_vocab_size())


def _tokenizer_config() -> dict[str, Any]:
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": END,
        "pad_token": PADDING,
        "model_input_names": ["input_ids", "attention_mask"],
        "model_max_length": LONGEST,
    }


def _config(tokens: int) -> dict[str, Any]:
    return {
        "architectures": ["T5ForConditionalGeneration"],
        "model_type": "t5",
        "vocab_size": tokens,
        "d_model": WIDTH,
        "d_kv": WIDTH // 4,
        "d_ff": 4 * WIDTH,
        "num_layers": ENCODER_BLOCKS,
        "num_decoder_layers": DECODER_BLOCKS,
        "num_heads": 4,
        "relative_attention_num_buckets": 32,
        "relative_attention_max_distance": 64,
        "dropout_rate": 0.1,
        "feed_forward_proj": "relu",
        "pad_token_id": 0,
        "eos_token_id": 1,
        "decoder_start_token_id": 0,
    }


def _write(path: Path, values: dict[str, Any]) -> None:
    path.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
