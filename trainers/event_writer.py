"""Write TensorBoard's event files: all that goes into them passes here, without secrets.

Tags come from a person's own code and data; text is made harmless by those who lay it out.
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from configs.outside_text import one_line
from trainers.masking import masked

if TYPE_CHECKING:
    import numpy as np

LOG = logging.getLogger(__name__)
FLUSH_S = 30


class EventWriter:
    """The event file of one attempt."""

    def __init__(self, folder: Path, purge_step: int) -> None:
        """Open a file; points of earlier files from `purge_step` on are hidden."""
        # Imported here: it takes a second that no training step has to wait for.
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(folder), purge_step=purge_step, flush_secs=FLUSH_S)
        self._tags: dict[str, str] = {}

    def scalar(self, tag: str, value: float, step: int, walltime: float | None = None) -> None:
        """Add a point to a curve."""
        self._writer.add_scalar(self._written(tag), value, step, walltime=walltime)

    def text(self, tag: str, markdown: str, step: int) -> None:
        """Add a text that is shown as Markdown."""
        self._writer.add_text(self._written(tag), masked(markdown), step)

    def image(self, tag: str, pixels: "np.ndarray", step: int) -> None:
        """Add a picture, (height, width, 3) uint8."""
        self._writer.add_image(self._written(tag), pixels, step, dataformats="HWC")

    def pr_curve(self, tag: str, step: int, **counts: Any) -> None:
        """Add a curve of precision and recall from its counts."""
        self._writer.add_pr_curve_raw(self._written(tag), global_step=step, **counts)

    def begin(self, values: Mapping[str, str | int | float | bool]) -> None:
        """Say what the run may be told by in a table of runs."""
        from torch.utils.tensorboard.summary import hparams

        shown = {
            self._written(name): one_line(masked(value)) if isinstance(value, str) else value
            for name, value in values.items()
        }
        _, begun, _ = hparams(shown, {})
        self._add_summary(begun)

    def end(self) -> None:
        """Say that the run has ended."""
        from torch.utils.tensorboard.summary import hparams

        _, _, ended = hparams({}, {})
        self._add_summary(ended)

    def flush(self) -> None:
        """Write down what is buffered."""
        self._writer.flush()

    def close(self) -> None:
        """Write down what is buffered and close the file."""
        self._writer.close()

    def _add_summary(self, summary: Any) -> None:
        """Write what torch has made for TensorBoard but writes into a folder of its own alone."""
        files: Any = self._writer.file_writer  # typed as None (torch 2.13)
        files.add_summary(summary)

    def _written(self, tag: str) -> str:
        """Return a tag as it may be written; two never become one."""
        if tag not in self._tags:
            clean, taken = one_line(masked(tag)), set(self._tags.values())
            name, number = clean, 1
            while name in taken:
                number += 1
                name = f"{clean} ({number})"
            if name != clean:
                LOG.warning(
                    "several tags are %s once secrets are masked: they are told apart by numbers",
                    clean,
                )
            self._tags[tag] = name
        return self._tags[tag]
