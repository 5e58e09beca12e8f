"""Predict with an exported folder alone; which rows, and where to, is the cluster's."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from configs.errors import DataError
from configs.model_sections import Model
from trainers import storage
from trainers.export import load_exported, read_export
from trainers.tasks import functions_of
from trainers.tasks.generation import build_writer
from trainers.tasks.judging import Batching, Fed, Setting
from trainers.tasks.refusals import RowError


class Predictor:
    """A loaded model and what turns cells into its inputs."""

    def __init__(self, address: str, *, microbatch_size: int = 32) -> None:
        """Open an exported folder; raises NotFoundError when there is none."""
        import torch
        from transformers.utils import logging

        logging.disable_progress_bar()
        self.export = read_export(address)
        self._task = functions_of(self.export.task)
        self._microbatch_size = microbatch_size
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        with tempfile.TemporaryDirectory(prefix="thaw-export-") as temporary:
            folder = _local_folder(address, Path(temporary))
            source = Model(path=str(folder), implementation=self.export.implementation)
            self._processor = self._task.load_processor(source)
            model: Any = load_exported(folder)
        self._model = model.to(self._device)

    def __call__(self, cells: pa.Table) -> dict[str, list[Any]]:
        """Give the task's columns of predictions for each row of text cells, in order.

        Raises DataError for a column or a cell that is missing, or a row that cannot be encoded.
        """
        rows, wrong = self.encode(cells)
        for place, sentence in wrong.items():
            raise DataError(f"row {place}{sentence if sentence[:1] == ' ' else f': {sentence}'}")
        return self.predict(rows)

    @property
    def predicted(self) -> tuple[str, ...]:
        """Names of the columns that predicting adds."""
        return self._task.predicted

    def predict(self, rows: pa.Table) -> dict[str, list[Any]]:
        """Return the task's columns of predictions for encoded rows, in their order."""
        task, names = self.export.task, self.export.label_names
        writer = build_writer(self._model, task, lambda: self._processor)
        setting = Setting(task, names, self._device, lambda: self._processor, writer)
        collate = self._task.collate(task, self._batching())
        # Rows of like length side by side: little padding.
        order = np.argsort(rows["length"].to_numpy(), kind="stable")
        parts: dict[str, list[Any]] = {name: [] for name in self._task.predicted}
        for start in range(0, len(order), self._microbatch_size):
            fed = self._fed(*collate(rows.take(order[start : start + self._microbatch_size])))
            made = self._task.predictions(setting, self._task.answer(setting, fed))
            for name, values in made.items():
                parts[name].extend(values)
        places = np.argsort(order, kind="stable").tolist()
        return {name: [values[place] for place in places] for name, values in parts.items()}

    def _batching(self) -> Batching:
        return Batching(
            pad_token_id=self._processor.pad_token_id,
            max_length=self.export.max_length,
            pad_to_multiple_of=1,
            num_labels=len(self.export.label_names),
            numbers=self.export.numbers,
        )

    def _fed(self, inputs: dict[str, Any], labels: Any) -> Fed:
        import torch

        with torch.inference_mode():
            outputs = self._model(**{name: t.to(self._device) for name, t in inputs.items()})
        every = torch.ones(len(labels), dtype=torch.bool)
        return Fed(inputs, labels.to(self._device), outputs, every)

    def encode(self, cells: pa.Table) -> tuple[pa.Table, dict[int, str]]:
        """Turn text cells into rows; return those that can be, and what is wrong with the others.

        Raises DataError for a column that is missing.
        """
        task = self.export.task
        columns = self._task.columns(task).to_predict
        wrong: dict[int, str] = {}
        for column in columns:
            if column.name not in cells.column_names:
                raise DataError(
                    f"the input has no column {column.name}; it has "
                    f"{', '.join(cells.column_names)}. Name the {column.kind} column {column.name}"
                )
            missing = cells[column.name].is_null().to_numpy()
            if not column.may_be_empty:
                sentence = f" has no {column.name}. Fill it in or leave the row out"
                wrong |= {int(place): sentence for place in np.flatnonzero(missing)}
        chosen = cells.select([column.name for column in columns])
        while True:
            good = [place for place in range(chosen.num_rows) if place not in wrong]
            try:
                return self._encoded(chosen.take(pa.array(good, pa.int64()))), wrong
            except RowError as error:
                place = good[error.index]
                wrong[place] = error.sentence
            wrong |= self._faults(chosen, [each for each in good if each > place])

    def _faults(self, cells: pa.Table, places: list[int]) -> dict[int, str]:
        """Encode rows one by one; return what is wrong with those that cannot be."""
        wrong = {}
        for place in places:
            try:
                self._encoded(cells.slice(place, 1))
            except RowError as error:
                wrong[place] = error.sentence
        return wrong

    def _encoded(self, cells: pa.Table) -> pa.Table:
        most = self.export.max_length
        return self._task.encode_inputs(self.export.task, self._processor, most, cells)


def _local_folder(address: str, temporary: Path) -> Path:
    """Give the folder itself, or a copy of it when it is remote."""
    local = storage.local_path(address)
    if local is not None:
        return local
    # What is in folders (adapters, settings of sentence-transformers) is for others.
    for name in storage.list_names(address, files_only=True):
        storage.download(storage.join(address, name), temporary / name)
    return temporary
