"""Predict labels with an exported folder alone; which rows, and where to, is the cluster's."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from configs.errors import DataError
from trainers import storage
from trainers.adapter_export import ADAPTER_FOLDER
from trainers.export import read_export
from trainers.tasks import text_classification

if TYPE_CHECKING:
    from torch import Tensor


class Predictor:
    """A loaded model and its tokenizer."""

    def __init__(self, address: str, *, microbatch_size: int = 32) -> None:
        """Load an exported folder; raises NotFoundError when there is none."""
        import torch
        from transformers import AutoModelForSequenceClassification, AutoTokenizer
        from transformers.utils import logging

        logging.disable_progress_bar()
        self.export = read_export(address)
        self._microbatch_size = microbatch_size
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        with tempfile.TemporaryDirectory(prefix="thaw-export-") as temporary:
            folder = _local_folder(address, Path(temporary))
            self._tokenizer = AutoTokenizer.from_pretrained(folder)
            model = AutoModelForSequenceClassification.from_pretrained(folder)
        self._model = model.to(self._device).eval()

    def __call__(self, columns: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
        """Give label, its probability, and the probabilities of all labels, for each row in order.

        Raises DataError for a column or a text that is missing.
        """
        import torch

        rows = self._encoded(columns)
        collate = text_classification.collate_to(
            self._tokenizer.pad_token_id, self.export.max_length, pad_to_multiple_of=1
        )
        # Rows of like length side by side: little padding.
        order = np.argsort(rows["length"].to_numpy(), kind="stable")
        probabilities = np.empty((len(order), len(self.export.label_names)), np.float32)
        for start in range(0, len(order), self._microbatch_size):
            chosen = order[start : start + self._microbatch_size]
            inputs, _ = collate(rows.take(chosen))
            with torch.inference_mode():
                probabilities[chosen] = self._fed(inputs).numpy()
        best = probabilities.argmax(axis=1)
        return {
            "label": [self.export.label_names[number] for number in best],
            "probability": probabilities[np.arange(len(best)), best].tolist(),
            "probabilities": probabilities.tolist(),
        }

    def _fed(self, inputs: "dict[str, Tensor]") -> "Tensor":
        outputs = self._model(**{name: t.to(self._device) for name, t in inputs.items()})
        probabilities: Tensor = outputs.logits.float().softmax(-1).cpu()
        return probabilities

    def _encoded(self, columns: Mapping[str, Sequence[Any]]) -> pa.Table:
        task = self.export.task
        texts = {}
        for name in (c.name for c in text_classification.columns(task).inputs):
            if name not in columns:
                raise DataError(
                    f"the input has no column {name}; it has {', '.join(columns)}. "
                    f"Name the text column {name}"
                )
            texts[name] = pa.chunked_array([pa.array(columns[name], from_pandas=True)])
            if texts[name].null_count:
                place = texts[name].is_null().to_pylist().index(True)
                raise DataError(f"row {place} has no {name}. Fill it in or leave the row out")
        return text_classification.encode_inputs(
            task, self._tokenizer, self.export.max_length, pa.table(texts)
        )


def _local_folder(address: str, temporary: Path) -> Path:
    """Give the folder itself, or a copy of it when it is remote."""
    local = storage.local_path(address)
    if local is not None:
        return local
    for name in storage.list_names(address):
        if name != ADAPTER_FOLDER:  # what it holds is merged into the weights beside it
            storage.download(storage.join(address, name), temporary / name)
    return temporary
