"""Recipe sections about one source of labelled rows; how a split is put together stands beside."""

import codecs
import re
from typing import Any, Literal, Self

from pydantic import BaseModel, Field, field_validator, model_validator

from configs.addresses import address_problem
from configs.model_sections import SECTION

Format = Literal[
    "auto", "csv", "tsv", "json", "jsonl", "parquet", "arrow", "text", "images", "hf", "sql"
]
DATABASES = (
    "sqlite|postgresql|postgres|mysql|mariadb|oracle|mssql|duckdb|snowflake|bigquery|redshift|trino"
    "|databricks|clickhouse"
)
SQL_ADDRESS = re.compile(rf"({DATABASES})(\+[a-z0-9_]+)?://")
"""Other databases that SQLAlchemy knows need `format: sql`."""
SELECT = re.compile(r"\s*(select|with|values)\b", re.IGNORECASE)


class SourceEntry(BaseModel):
    """Files, a folder or a query with labelled rows, and how much of them is taken."""

    model_config = SECTION

    path: str | tuple[str, ...] = Field(min_length=1)
    """File, glob or list of them, a folder of images or of Hugging Face, or a database's URL."""
    name: str | None = Field(default=None, pattern=r"^[A-Za-z0-9][A-Za-z0-9._ -]{0,62}$")
    """What the source is called in the manifest and in metrics; None is `unnamed`."""
    format: Format = "auto"
    """Format of these files; auto goes by what they are called, or by data.format."""
    weight: float | None = Field(default=None, gt=0)
    """Rows of this source for each row of one of weight 1, as many as there are; None takes all."""
    max_rows: int | None = Field(default=None, ge=1)
    """Most different rows of this source, chosen by their hash; None takes all."""
    columns: dict[str, str] = {}
    """The source's own names of the columns under task, such as `{text: question}`."""
    encoding: str = "utf-8"
    """Encoding of text files, such as cp1252 or utf-16; utf-8 may begin with a mark."""
    pair: str | None = None
    """Text file whose lines are the labels of the lines in `path`."""
    field: str | None = None
    """Key of a JSON file's object that holds the list of rows; None for a list at the top."""
    split: str | None = None
    """Split of a Hugging Face folder or repository; None takes the one of the same name."""
    query: str | None = None
    """A SELECT whose result are the rows, for a database's URL."""

    @field_validator("encoding")
    @classmethod
    def _encoding_is_known(cls, name: str) -> str:
        try:
            b"a".decode(name)
            codecs.getincrementaldecoder(name)
        except (LookupError, UnicodeError) as error:
            if isinstance(error, UnicodeError) and name.lower().startswith("utf"):
                return name  # one byte is half a character of UTF-16
            raise ValueError(f"{name} is not an encoding. Use utf-8, cp1252 or utf-16") from error
        return name

    @model_validator(mode="after")
    def _keys_go_together(self) -> Self:
        problems: list[str] = []
        is_sql = self.format == "sql" or any(map(is_database, self.paths))
        if is_sql and (self.query is None or not SELECT.match(self.query)):
            problems.append("a database needs query. Give a SELECT")
        if not is_sql:
            addresses = filter(None, (*self.paths, self.pair))
            problems += [told for each in addresses if (told := file_problem(each))]
        if self.query is not None and not is_sql:
            problems.append(
                "query is for databases. Give their URL as path, such as sqlite:///rows.db"
            )
        if (self.query or self.pair) is not None and len(self.paths) != 1:
            problems.append("query and pair go with one path. Give one")
        if self.pair is not None and self.format not in ("auto", "text"):
            problems.append(f"pair goes with format text, found {self.format}. Leave one out")
        if self.format == "text" and self.pair is None:
            problems.append("format text needs pair. Give the file with the labels")
        if problems:
            raise ValueError("; ".join(problems))
        return self

    @property
    def paths(self) -> tuple[str, ...]:
        """The path, or all of them."""
        return (self.path,) if isinstance(self.path, str) else self.path


def is_database(address: str) -> bool:
    """Say whether an address is a connection URL, such as postgresql://host/name."""
    return SQL_ADDRESS.match(address) is not None


def file_problem(address: str) -> str | None:
    """Say what keeps an address from being one of labelled rows; None when nothing does."""
    return None if is_database(address) else address_problem(address, to_write=False)


def source_entries(given: Any) -> tuple[SourceEntry, ...]:
    """Read a path, a section or a list of both as sections; none for a share or nothing."""
    if isinstance(given, str):
        return (SourceEntry(path=given),)
    if isinstance(given, SourceEntry):
        return (given,)
    if isinstance(given, tuple):
        return tuple(entry for each in given for entry in source_entries(each))
    return ()
