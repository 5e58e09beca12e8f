"""Some rows of a prepared set as a person would read them."""

from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa

from configs.errors import THAW_ERRORS
from configs.model_sections import Model
from trainers.data.store import Manifest, SplitName, open_split

Decode = Callable[[Sequence[int]], str]
IMAGE = "<image>"


def sample_rows(
    data_dir: str, manifest: Manifest, split: SplitName, num_rows: int, decode: Decode | None = None
) -> list[tuple[str, str]]:
    """Give text and label of a few rows, evenly spaced; the label is empty where there is none.

    Tokens are decoded with the tokenizer that made them; where it is not to be had here, they are
    shown as numbers. Rows without tokens are images.
    """
    count = manifest.splits[split].rows
    indices = np.unique(np.linspace(0, count - 1, min(num_rows, count)).astype(np.int64))
    rows = open_split(data_dir, manifest, split).read(indices)
    texts = [IMAGE] * len(rows)
    if "input_ids" in rows.column_names:
        decode = decode or _decoder(manifest.tokenizer)
        texts = [decode(ids) for ids in rows["input_ids"].to_pylist()]
    return list(zip(texts, _labels(rows, manifest.label_names), strict=True))


def _labels(rows: pa.Table, names: Sequence[str]) -> list[str]:
    """Show the labels: names where there are any, else numbers that stand alone."""
    if "label" not in rows.column_names:
        return [""] * len(rows)
    labels = rows["label"].to_pylist()
    if names:
        lists = [label if isinstance(label, list) else [label] for label in labels]
        return [", ".join(names[each] for each in some if each >= 0) for some in lists]
    return [f"{label:g}" if isinstance(label, float) else "" for label in labels]


def _decoder(tokenizer: str) -> Decode:
    from trainers.tasks.tokenizer import load_tokenizer

    path, _, revision = tokenizer.partition("@")
    try:
        # A look at the rows does not wait for a hub that may not answer.
        model = Model(path=path or "unknown", revision=revision or None)
        loaded = load_tokenizer(model, local_only=True)
    except THAW_ERRORS:
        return lambda ids: " ".join(map(str, ids))
    return lambda ids: str(loaded.decode(list(ids), skip_special_tokens=True))
