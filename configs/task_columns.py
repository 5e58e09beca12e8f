"""What a cell of a task's column may hold; how it is read and cleaned stands elsewhere."""

from dataclasses import dataclass
from typing import Literal

ColumnKind = Literal["text", "label", "labels", "tags", "words", "number", "json", "image"]
"""What the cells of a column are. Whatever the source, preparation carries each as one text:

    text    a string, as it is
    label   a string, or an integer as its decimal
    labels  several labels: a list of them, a JSON list, or one string with commas between them
    tags    one label a word: a list of strings, a JSON list, or one string with blanks between them
    words   a list of strings, a JSON list, or one string with blanks between words
    number  a finite number, written so that it reads back as the same float
    json    a list or an object, or JSON text of one
    image   the address of an image file, or its bytes as a data: address

Lists and objects are written as JSON without blanks.
"""


@dataclass(frozen=True)
class Column:
    """One column that a task reads."""

    name: str
    kind: ColumnKind
    may_be_empty: bool = False
    """Whether a cell without a value is an empty one; else its row is dropped or refused."""
    for_training: bool = False
    """Whether predicting does without the column."""

    @property
    def has_classes(self) -> bool:
        """Whether the values of all rows together are the classes of the task."""
        return self.kind in ("label", "labels", "tags")


@dataclass(frozen=True)
class Columns:
    """The columns of a task: what the model reads, and what it learns to tell."""

    inputs: tuple[Column, ...]
    target: Column | None
    """None where the inputs hold what is learnt, such as a conversation or plain text."""

    @property
    def all(self) -> tuple[Column, ...]:
        """The inputs and, last, the target."""
        return (*self.inputs, *((self.target,) if self.target is not None else ()))

    @property
    def to_predict(self) -> tuple[Column, ...]:
        """The inputs that predicting reads."""
        return tuple(column for column in self.inputs if not column.for_training)

    @property
    def has_classes(self) -> bool:
        """Whether the targets of all rows together are the classes of the task."""
        return self.target is not None and self.target.has_classes
