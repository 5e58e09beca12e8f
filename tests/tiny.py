"""Tiny models, tokenizers and data sets, made on the spot; nothing is downloaded."""

import csv
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

MAX_LABELS = 16
WORDS_PER_LABEL = 4
COMMON_WORDS = (
    "a an and are as at be but by for from has he in is it its of on or she that the they this to "
    "was we were will with you"
)


def make_csv(
    path: Path,
    rows: int,
    labels: int = 3,
    seed: int = 0,
    columns: Sequence[str] = ("text", "label"),
) -> Path:
    """Write distinct texts whose words tell the label; three columns make pairs of texts."""
    source = random.Random(seed)
    seen: set[tuple[str, ...]] = set()
    while len(seen) < rows:
        label = len(seen) % labels
        texts = (_sentence(source, label) for _ in columns[:-1])
        seen.add((*texts, f"label-{label}"))
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(columns)
        writer.writerows(sorted(seen))
    return path


def make_model_folder(
    path: Path,
    kind: str = "bert",
    layers: int = 2,
    hidden: int = 32,
    num_labels: int | None = None,
    seed: int = 0,
    *,
    spread: float = 0.02,
) -> Path:
    """Save a random model (bert, distilbert, roberta, modernbert, gpt2) and its tokenizer.

    Without num_labels it has no classification head. Its weights are normal with this `spread`; of
    the usual one all rows look much alike to it.
    """
    import torch
    from transformers import AutoModel, AutoModelForSequenceClassification

    tokenizer = make_tokenizer(kind)
    config = _config(kind, layers, hidden, tokenizer)
    config.initializer_range = spread
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        if num_labels is None:
            model = AutoModel.from_config(config)
        else:
            config.num_labels = num_labels
            model = AutoModelForSequenceClassification.from_config(config)
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


def make_tokenizer(kind: str = "bert") -> Any:
    """Make a tokenizer of whole words; that of gpt2 adds no special token and has no padding."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    special = ["<eos>", "<unk>"] if kind == "gpt2" else ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    topics = [_topic_word(i, k) for i in range(MAX_LABELS) for k in range(WORDS_PER_LABEL)]
    vocabulary = {word: i for i, word in enumerate([*special, *COMMON_WORDS.split(), *topics])}
    inner = Tokenizer(models.WordLevel(vocabulary, unk_token=special[1]))
    inner.normalizer = normalizers.Lowercase()
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    if kind == "gpt2":
        return PreTrainedTokenizerFast(
            tokenizer_object=inner, unk_token="<unk>", eos_token="<eos>", model_max_length=64
        )
    inner.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(token, vocabulary[token]) for token in ("[CLS]", "[SEP]")],
    )
    types = ["token_type_ids"] if kind == "bert" else []
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        unk_token="[UNK]",
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_max_length=64,
        model_input_names=["input_ids", *types, "attention_mask"],
    )


def _config(kind: str, layers: int, hidden: int, tokenizer: Any) -> Any:
    from transformers import DistilBertConfig, GPT2Config

    if kind == "distilbert":
        return DistilBertConfig(
            vocab_size=len(tokenizer),
            dim=hidden,
            n_layers=layers,
            n_heads=4,
            hidden_dim=2 * hidden,
            max_position_embeddings=64,
            pad_token_id=tokenizer.pad_token_id,
        )
    if kind == "gpt2":
        return GPT2Config(
            vocab_size=len(tokenizer),
            n_embd=hidden,
            n_layer=layers,
            n_head=4,
            n_positions=64,
            bos_token_id=tokenizer.eos_token_id,
            eos_token_id=tokenizer.eos_token_id,
        )
    return _bert_config(kind, layers, hidden, tokenizer)


def _bert_config(kind: str, layers: int, hidden: int, tokenizer: Any) -> Any:
    from transformers import BertConfig, ModernBertConfig, RobertaConfig

    sizes = {
        "vocab_size": len(tokenizer),
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": 4,
        "intermediate_size": 2 * hidden,
        "pad_token_id": tokenizer.pad_token_id,
        "max_position_embeddings": 64,
    }
    if kind == "bert":
        return BertConfig(**sizes)
    if kind == "roberta":
        # RoBERTa counts positions from pad_token_id + 1.
        return RobertaConfig(**sizes | {"max_position_embeddings": 65})
    if kind == "modernbert":
        first, last = tokenizer.cls_token_id, tokenizer.sep_token_id
        ids = {"cls_token_id": first, "bos_token_id": first}
        ids |= {"sep_token_id": last, "eos_token_id": last}
        # The second block looks at four tokens on either side.
        return ModernBertConfig(**sizes, **ids, local_attention=8, global_attn_every_n_layers=2)
    raise ValueError(f"no tiny model of kind {kind!r}")


def _topic_word(label: int, number: int) -> str:
    return f"topic{label}{'abcd'[number]}"


def _sentence(source: random.Random, label: int) -> str:
    words = source.choices(COMMON_WORDS.split(), k=source.randint(3, 14))
    words += [_topic_word(label, source.randrange(WORDS_PER_LABEL)) for _ in range(2)]
    source.shuffle(words)
    return " ".join(words)
