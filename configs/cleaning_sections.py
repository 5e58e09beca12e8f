"""Recipe sections about what is done to rows before training: cleaning and splitting."""

from typing import Literal, Self

from pydantic import BaseModel, Field, model_validator

from configs.model_sections import SECTION


class NearDuplicates(BaseModel):
    """Which rows count as nearly the same."""

    model_config = SECTION

    threshold: float = Field(default=0.8, gt=0, le=1)
    """Jaccard similarity of two texts' word shingles from which on they are near-duplicates."""
    shingle_words: int = Field(default=3, ge=1)
    """Words in a row that make one shingle; shorter texts are one shingle."""
    permutations: int = Field(default=128, ge=16, le=1024)
    """Length of a MinHash signature; more find pairs at the threshold more surely."""


class Cleaning(BaseModel):
    """What happens to rows that are not as they should be; every row dropped is counted."""

    model_config = SECTION

    missing: Literal["drop", "fill", "fail"] = "drop"
    """What happens to a row without a text or a label; fill needs fill_text or fill_label."""
    missing_words: tuple[str, ...] = ("NaN", "nan", "null", "NULL", "None", "N/A", "<NA>")
    """Words for no label or no number, as programs write them; one that task.labels has is one."""
    fill_text: str | None = Field(default=None, min_length=1)
    """Text for rows that have none, with missing: fill."""
    fill_label: str | None = Field(default=None, min_length=1)
    """Label for rows that have none, with missing: fill."""
    min_characters: int = Field(default=1, ge=1)
    """Rows with a text of fewer characters are dropped."""
    max_characters: int | None = Field(default=None, ge=1)
    """Rows with a text of more characters are dropped; None keeps them, cut by max_length."""
    unknown_labels: Literal["fail", "drop"] = "fail"
    """What happens to a row whose label is not in task.labels."""
    unusable: Literal["fail", "drop"] = "fail"
    """What happens to rows that the task cannot encode: no room for an answer, a broken image."""
    unusable_share: float = Field(default=0.05, ge=0, le=1)
    """Most of all rows that unusable: drop may leave out; more of them is a fault of the whole."""
    control_characters: Literal["strip", "keep"] = "strip"
    """What happens to control characters in texts, other than tab and line break."""
    unicode: Literal["keep", "nfc"] = "keep"
    """Unicode form of texts; nfc writes an accented letter in one way only."""
    conflicts: Literal["keep", "drop", "majority", "fail"] = "keep"
    """What happens to training rows with the same input and different labels; ties are dropped."""
    near_duplicates: NearDuplicates | None = None
    """Drop training rows that nearly repeat another row; None keeps them."""

    @model_validator(mode="after")
    def _values_agree(self) -> Self:
        given = self.fill_text is not None or self.fill_label is not None
        if (self.missing == "fill") != given:
            raise ValueError(
                "missing: fill goes with a value to fill in, and no other does. Set missing to "
                "fill, and one of fill_text and fill_label"
            )
        if self.max_characters is not None and self.max_characters < self.min_characters:
            raise ValueError(
                f"max_characters ({self.max_characters}) is less than min_characters "
                f"({self.min_characters}). Set max_characters to more, or no row is left"
            )
        return self


class SplitRule(BaseModel):
    """How rows are dealt to the splits that take a share of the training rows."""

    model_config = SECTION

    by: Literal["hash", "stratified", "group", "time"] = "hash"
    """hash: by the text's hash; stratified: the same share of each label; group, time: a column."""
    column: str | None = Field(default=None, min_length=1)
    """Column with the group or the time of a row; rows of one group stay together."""
    time_format: str | None = Field(default=None, min_length=1)
    """How times are written, such as %d.%m.%Y; None takes ISO 8601 and seconds since 1970."""

    @model_validator(mode="after")
    def _column_fits(self) -> Self:
        if (self.by in ("group", "time")) != (self.column is not None):
            raise ValueError(
                "by: group and by: time go with a column, and no other does. Set both or neither"
            )
        if self.time_format is not None and self.by != "time":
            raise ValueError("time_format is read with by: time alone. Leave it out")
        return self
