"""Recipe sections about data and batches; task and model stand elsewhere."""

from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
    model_validator,
)

from configs.cleaning_sections import Cleaning, SplitRule
from configs.model_sections import SECTION
from configs.source_sections import Format, SourceEntry, file_problem, source_entries


def _share(value: Any) -> Any:
    """Read `10%` as 0.1."""
    if isinstance(value, str) and value.strip().endswith("%"):
        try:
            return float(value.strip()[:-1]) / 100
        except ValueError:
            return value
    return value


def _form(value: Any) -> str:
    """Tell a path from a section, a list and a share, so that only one of them is complained of."""
    if isinstance(value, dict | SourceEntry):
        return "section"
    if isinstance(value, list | tuple):
        return "list"
    return "share" if isinstance(value, float) else "path"


def _file(address: str) -> str:
    if problem := file_problem(address):
        raise ValueError(problem)
    return address


Path = Annotated[str, Field(min_length=1), AfterValidator(_file), Tag("path")]
Section = Annotated[SourceEntry, Tag("section")]
Entry = Annotated[Path | Section, Discriminator(_form)]
Entries = Annotated[tuple[Entry, ...], Field(min_length=1), Tag("list")]
Share = Annotated[float, Field(gt=0, lt=1), Tag("share")]
Files = Annotated[Path | Section | Entries, Discriminator(_form)]
Given = Annotated[Path | Section | Entries | Share, Discriminator(_form)]
Split = Annotated[Given | None, BeforeValidator(_share)]


class Data(BaseModel):
    """Where the labelled rows come from and how they are split."""

    model_config = SECTION

    train: Files
    """File, glob or list of them with the training rows, or a source; local, s3://, gs://, hf://."""
    validation: Split = None
    """Files, or a share of the training rows such as `10%`, for evaluation while training."""
    test: Split = None
    """Files, or a share of the training rows, evaluated once at the end."""
    format: Format = "auto"
    """Format of the files; auto goes by the file name."""
    delimiter: str | None = Field(default=None, min_length=1, max_length=1, pattern=r'^[^"\r\n]$')
    """Sign between the cells of csv and tsv files; None goes by the format and the header."""
    quotes: Literal["double", "none"] | None = None
    """Whether quotes enclose cells, or none: are characters; None reads what is certain."""
    shard_rows: int = Field(default=65_536, ge=1)
    """Most rows of one prepared shard."""
    cleaning: Cleaning = Cleaning()
    """What happens to rows that are not as they should be."""
    split: SplitRule = SplitRule()
    """How shares of the training rows are taken."""

    @model_validator(mode="after")
    def _leaves_training_rows(self) -> Self:
        shares = [s for s in (self.validation, self.test) if isinstance(s, float)]
        if sum(shares) >= 1:
            raise ValueError("validation and test take every row. Leave some for training")
        if self.split.by in ("stratified", "time") and not shares:
            raise ValueError(
                f"split.by is {self.split.by}, but no share is taken. Set validation or test to a "
                "share such as 10%, or leave split out"
            )
        return self

    @model_validator(mode="after")
    def _names_are_given_once(self) -> Self:
        for split in (self.train, self.validation, self.test):
            names = [entry.name for entry in source_entries(split) if entry.name is not None]
            for name in {name for name in names if names.count(name) > 1}:
                raise ValueError(f"two sources of one split are called {name}. Give each a name")
        return self


class Batch(BaseModel):
    """How many rows a step sees; the number of workers does not change it."""

    model_config = SECTION

    lanes: int = Field(default=8, ge=1)
    """Microbatches per optimizer step, summed over all workers; a multiple of num_workers."""
    microbatch_size: int = Field(default=8, ge=1)
    """Rows that a worker feeds forward at once; a step sees lanes x microbatch_size rows."""
    microbatch_tokens: int | None = Field(default=None, ge=1)
    """Tokens, padding counted, that a worker feeds forward at once; instead of microbatch_size."""
    eval_microbatch_size: int = Field(default=32, ge=1)
    """Rows that a worker feeds forward at once in evaluation."""
    max_length: int = Field(default=512, ge=1)
    """Tokens per row, special tokens included; longer rows are cut at the end."""
    packing: bool = False
    """Lay several rows one behind the other in a sequence without padding (language models)."""
    pad_to_multiple_of: int | None = Field(default=None, ge=1)
    """Tokens to whose multiple the longest row is padded; None: 8 in half precision, 1 in fp32."""

    @model_validator(mode="after")
    def _rows_or_tokens(self) -> Self:
        if self.microbatch_tokens is None:
            return self
        # Written out in full, as jobs and run directories hold it, a recipe names the default too.
        if self.microbatch_size != type(self).model_fields["microbatch_size"].default:
            raise ValueError("microbatch_size and microbatch_tokens are both given. Keep one")
        if self.microbatch_tokens < self.max_length:
            raise ValueError(
                f"microbatch_tokens ({self.microbatch_tokens}) is less than max_length "
                f"({self.max_length}). A row may be that long: raise one or lower the other"
            )
        return self
