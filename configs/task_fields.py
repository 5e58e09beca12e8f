"""Fields that the sections of several tasks have, each with its sentence and its checks."""

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field

from configs.import_paths import ImportPath
from configs.model_sections import SECTION

LabelNames = tuple[str, ...] | None


class Generation(BaseModel):
    """How a model writes text in evaluation and prediction."""

    model_config = SECTION

    max_new_tokens: int | None = Field(default=None, ge=1)
    """Most tokens that it writes; unset 64, or fewer where the model has fewer positions."""
    num_beams: int = Field(default=1, ge=1)
    """Beams of the search; 1 takes the likeliest token each time."""
    length_penalty: float = 1.0
    """Power of the length that the score of a beam is divided by."""
    evaluation_rows: int | None = Field(default=None, ge=0)
    """Rows of a split that text is written for in evaluation, evenly spaced; None takes all, 0
    none."""


def check_columns(names: Sequence[str | None]) -> None:
    """Raise ValueError for a column that is asked for twice."""
    given = [name for name in names if name is not None]
    if len(set(given)) < len(given):
        raise ValueError(f"columns {', '.join(given)} must differ. Name another for each")


def check_labels(labels: LabelNames) -> LabelNames:
    """Give the labels back; raises ValueError for less than two, or one that is listed twice."""
    if labels is not None and len(set(labels)) < max(2, len(labels)):
        raise ValueError("labels needs at least two names. Give each once")
    return labels


def _or_one(schema: dict[str, Any]) -> None:
    """Let a JSON Schema of a list take a single item as well."""
    items = schema["items"]
    schema["anyOf"] = [items, {"type": schema.pop("type"), "items": schema.pop("items")}]


ColumnName = Annotated[str, Field(min_length=1)]
Names = Annotated[LabelNames, AfterValidator(check_labels)]

Text = Annotated[ColumnName, Field(description="Column with the text.")]
SecondText = Annotated[
    str | None, Field(description="Column with a second text, for pairs; None for single texts.")
]
Label = Annotated[ColumnName, Field(description="Column with the label, strings or integers.")]
ClassNames = Annotated[
    Names,
    Field(description="The label names in order; None takes those of the training split, sorted."),
]
Writing = Annotated[
    Generation, Field(description="How text is written in evaluation and prediction.")
]
OwnMetrics = Annotated[
    tuple[ImportPath, ...],
    BeforeValidator(lambda given: (given,) if isinstance(given, str) else given),
    Field(
        description="Own metrics, `module:function` or a list of such, from cluster.working_dir: "
        "each takes predictions and labels of a whole split and gives a number, or a dict of them.",
        json_schema_extra=_or_one,
    ),
]
