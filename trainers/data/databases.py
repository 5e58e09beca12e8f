"""Rows of a query to a database; which URL and query stand in the recipe.

SQLAlchemy comes with the extra `sql`. Nothing is ever written: the query is a SELECT, SQLite files
are opened read-only, PostgreSQL and MySQL are asked for a transaction that cannot write.
"""

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import xxhash

from configs.errors import DataError, RecipeError
from trainers.data.cells import Asked, cell_text
from trainers.data.columns import Cells, check_columns, tables_of

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

MAX_ROWS = 16_384
READ_ONLY = {
    "postgresql": "SET TRANSACTION READ ONLY",
    "mysql": "SET SESSION TRANSACTION READ ONLY",
    "mariadb": "SET SESSION TRANSACTION READ ONLY",
}
VARIABLE = re.compile(r"\$\{(\w+)\}")


def shown_url(address: str) -> str:
    """Give a connection URL without its password, and without the values of its options."""
    scheme, mark, rest = address.partition("://")
    place, question, _ = rest.partition("?")
    login, at, host = place.rpartition("@")
    user, colon, _ = login.partition(":")
    return f"{scheme}{mark}{user}{':***' if colon else ''}{at}{host}{'?...' if question else ''}"


def hash_rows(address: str, query: str) -> tuple[str, int]:
    """Read all rows once; gives a hash that does not depend on their order, and their bytes."""
    total = num_bytes = 0
    for _, rows in _results(address, query):
        for row in rows:
            content = repr(row).encode("utf-8", "surrogatepass")
            total += xxhash.xxh3_128_intdigest(content)
            num_bytes += len(content)
    return f"{total % 2**128:032x}", num_bytes


def read_query(
    address: str, query: str, columns: Sequence[Asked], expected_hash: str
) -> Iterator[pa.Table]:
    """Yield the columns asked for of a query's result as text, a block at a time.

    Raises DataError for a query that fails, a missing column, a value that its column cannot hold,
    and for rows that are not those that were hashed before.
    """
    number = total = 0
    asked = [each.name for each in columns]
    shown = shown_url(address)
    for names, rows in _results(address, query):
        check_columns(f"{shown} (query)", asked, names)
        places = [names.index(column) for column in asked]
        block: list[Cells] = []
        for row in rows:
            number += 1
            if expected_hash:
                total += xxhash.xxh3_128_intdigest(repr(row).encode("utf-8", "surrogatepass"))
            where = f"{shown} row {number}"
            cells = zip((row[place] for place in places), columns, strict=True)
            block.append(tuple(cell_text(value, each, where) for value, each in cells))
        yield from tables_of(block, columns, shown)
    if expected_hash and f"{total % 2**128:032x}" != expected_hash:
        raise DataError(f"{shown} gave other rows the second time. Prepare while nobody writes")


def _results(address: str, query: str) -> Iterator[tuple[list[str], list[tuple[Any, ...]]]]:
    """Yield the names of the columns with some rows at a time; at least once."""
    try:
        from sqlalchemy import create_engine, text
        from sqlalchemy.exc import DBAPIError, SQLAlchemyError
        from sqlalchemy.pool import NullPool
    except ImportError as error:
        raise RecipeError(
            "reading a database needs SQLAlchemy. Install thaw[sql] on every node"
        ) from error
    try:
        url = _url(address)
        engine = create_engine(url, poolclass=NullPool, hide_parameters=True)
        with engine.connect() as connection:
            guard = READ_ONLY.get(engine.dialect.name)
            if guard is not None:
                connection.exec_driver_sql(guard)
            options = {"stream_results": True, "yield_per": MAX_ROWS}
            # A colon before a word is a parameter for SQLAlchemy; the query has none.
            statement = text(re.sub(r"(?<!:):(?=\w)", r"\:", query))
            result = connection.execution_options(**options).execute(statement)
            names = list(result.keys())
            yield names, []
            for rows in result.partitions():
                yield names, [tuple(row) for row in rows]
    except (SQLAlchemyError, ImportError) as error:
        cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
        raise DataError(_problem(address, cause)) from None


def _url(address: str) -> "URL":
    """Fill in variables of the environment; an SQLite file must be there, to be read only."""
    from sqlalchemy.engine import make_url

    missing = [name for name in VARIABLE.findall(address) if name not in os.environ]
    if missing:
        raise RecipeError(
            f"{shown_url(address)} needs {', '.join(missing)} in the environment. Set it there"
        )
    url = make_url(VARIABLE.sub(lambda found: os.environ[found.group(1)], address))
    if url.get_backend_name() == "sqlite" and url.database not in (None, "", ":memory:"):
        if not Path(str(url.database)).is_file():
            raise DataError(f"{shown_url(address)} does not exist. Check the path")
        path = Path(str(url.database)).absolute()
        url = url.set(database=path.as_uri(), query={"mode": "ro", "uri": "true"})
    return url


def _problem(address: str, cause: BaseException) -> str:
    """Say what went wrong in one line, without a password that the driver may repeat."""
    problem = " ".join(str(cause).split()).rstrip(".")
    for secret in _secrets(address):
        problem = problem.replace(secret, "***")
    return f"{shown_url(address)}: the query failed: {problem}. Correct the URL or the query"


def _secrets(address: str) -> list[str]:
    named = [os.environ.get(name, "") for name in VARIABLE.findall(address)]
    login = address.partition("://")[2].partition("?")[0].rpartition("@")[0]
    given = login.partition(":")[2]
    return [secret for secret in (*named, given) if secret and not VARIABLE.fullmatch(secret)]
