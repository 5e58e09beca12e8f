"""An epoch's rows against what it must hold; whole runs are in test_finetune."""

from types import SimpleNamespace
from typing import Any

import pytest

from configs.errors import TrainingError
from configs.records import Ledger
from trainers.ledger import close_epoch
from trainers.manifest import Cursor
from trainers.mishaps import LeftOut, Mishaps

IDS = (2**64 - 1, 5, 8)
OUT = LeftOut(epoch=1, step=0, lane=0, row_ids=(IDS[0],))


class _Session:
    """What closing an epoch needs of a session."""

    def __init__(self, cursor: Cursor) -> None:
        self.cursor = cursor
        self.records: list[Any] = []
        info = SimpleNamespace(rows=3, id_sum=f"{sum(IDS) % 2**64:016x}")
        self.manifest = SimpleNamespace(splits={"train": info})

    def report(self, record: Any) -> None:
        self.records.append(record)

    def advance(self, **changes: object) -> None:
        self.cursor = self.cursor.model_copy(update=changes)


def close(rows: int, ids: int, *left_out: LeftOut) -> _Session:
    mishaps = Mishaps(left_out=left_out)
    session: Any = _Session(Cursor(epoch=1, step=9, rows=rows, id_sum=ids, mishaps=mishaps))
    epochs: Any = SimpleNamespace(rates=None)
    close_epoch(session, epochs, [])
    made: _Session = session
    return made


@pytest.mark.parametrize(
    ("rows", "ids", "left_out"),
    [
        (3, 12, ()),  # 2^64 - 1 + 5 + 8
        (2, 13, (OUT,)),
        (3, 12, (OUT.model_copy(update={"epoch": 0}),)),
    ],
)
def test_an_epoch_that_adds_up_is_closed(rows: int, ids: int, left_out: Any) -> None:
    session = close(rows, ids, *left_out)
    (record,) = session.records
    assert isinstance(record, Ledger)
    assert (record.ok, record.rows, record.expected_rows, record.epoch) == (True, rows, rows, 2)
    assert (session.cursor.epoch, session.cursor.rows, session.cursor.id_sum) == (2, 0, 0)


@pytest.mark.parametrize(("rows", "ids", "left_out"), [(2, 13, ()), (3, 13, ()), (3, 12, (OUT,))])
def test_an_epoch_that_does_not_add_up_fails(rows: int, ids: int, left_out: Any) -> None:
    with pytest.raises(TrainingError, match=f"epoch 2 saw {rows} rows"):
        close(rows, ids, *left_out)
