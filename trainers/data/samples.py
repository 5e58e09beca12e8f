"""Some rows of a prepared set as a person would read them."""

from collections.abc import Callable, Sequence

import numpy as np

from configs.errors import THAW_ERRORS
from configs.model_sections import Model
from trainers.data.store import Manifest, SplitName, open_split

Decode = Callable[[Sequence[int]], str]


def sample_rows(
    data_dir: str, manifest: Manifest, split: SplitName, num_rows: int, decode: Decode | None = None
) -> list[tuple[str, str]]:
    """Give text and label of a few rows, evenly spaced.

    Tokens are decoded with the tokenizer that made them; where it is not to be had here, they are
    shown as numbers.
    """
    count = manifest.splits[split].rows
    indices = np.unique(np.linspace(0, count - 1, min(num_rows, count)).astype(np.int64))
    rows = open_split(data_dir, manifest, split).read(indices)
    decode = decode or _decoder(manifest.tokenizer)
    texts = [decode(ids) for ids in rows["input_ids"].to_pylist()]
    labels = [manifest.label_names[label] for label in rows["label"].to_pylist()]
    return list(zip(texts, labels, strict=True))


def _decoder(tokenizer: str) -> Decode:
    from trainers.tasks.pretrained import load_tokenizer

    path, _, revision = tokenizer.partition("@")
    try:
        # A look at the rows does not wait for a hub that may not answer.
        model = Model(path=path or "unknown", revision=revision or None)
        loaded = load_tokenizer(model, local_only=True)
    except THAW_ERRORS:
        return lambda ids: " ".join(map(str, ids))
    return lambda ids: str(loaded.decode(list(ids), skip_special_tokens=True))
