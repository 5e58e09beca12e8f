"""Rows of two text files that belong together line by line; other text files stand beside."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pyarrow as pa

from configs.errors import DataError
from trainers.data.cells import Asked
from trainers.data.columns import text_columns
from trainers.data.text_streams import Read, check_utf8, open_utf8, read_pieces

MAX_ROWS = 16_384


def read_text_pairs(
    paths: tuple[Path, Path], addresses: tuple[str, str], columns: Sequence[Asked], encoding: str
) -> Iterator[pa.Table]:
    """Yield rows whose first column is a line of the first file, the second one of the other's.

    Raises DataError when the files have not the same number of lines, naming both.
    """
    if len(columns) != 2:
        raise DataError(
            f"{addresses[0]} and {addresses[1]} give two columns, the task reads {len(columns)}. "
            "Write the rows as csv"
        )
    with ExitStack() as files:
        first, second = (
            _blocks(files.enter_context(open_utf8(path, address, encoding)), address)
            for path, address in zip(paths, addresses, strict=True)
        )
        num_lines = [0, 0]
        held: list[list[str]] = [[], []]
        ended = False
        while not ended:
            for side, blocks in enumerate((first, second)):
                if not held[side]:
                    held[side] = next(blocks, [])
                    num_lines[side] += len(held[side])
            size = min(MAX_ROWS, len(held[0]), len(held[1]))
            ended = size == 0
            if not ended:
                cells = [lines[:size] for lines in held]
                held = [lines[size:] for lines in held]
                first_row = num_lines[0] - len(held[0]) - size + 1
                yield _rows(cells, columns, addresses, first_row)
        for side, blocks in enumerate((first, second)):
            num_lines[side] += sum(map(len, blocks))
    if num_lines[0] != num_lines[1]:
        raise DataError(
            f"{addresses[0]} has {num_lines[0]} lines, {addresses[1]} has {num_lines[1]}. "
            "Give each line its partner"
        )


def _rows(
    cells: list[list[str]], columns: Sequence[Asked], addresses: tuple[str, str], first_row: int
) -> pa.Table:
    first, second = (
        text_columns(pa.table([lines], [column.name]), [column], address, first_row)
        for lines, column, address in zip(cells, columns, addresses, strict=True)
    )
    return first.append_column(columns[1].name, second.column(0))


def _blocks(read: Read, address: str) -> Iterator[list[str]]:
    """Yield lists of lines without their ends."""
    num_lines = 0
    for piece in read_pieces(read, address):
        check_utf8(piece, address, num_lines)
        lines = piece.decode().removesuffix("\n").split("\n")
        num_lines += len(lines)
        for start in range(0, len(lines), MAX_ROWS):
            yield [line.removesuffix("\r") for line in lines[start : start + MAX_ROWS]]
