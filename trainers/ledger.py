"""Compare what an epoch fed with what it must hold; adding that up is the loop's."""

import time
from collections.abc import Sequence

from configs.errors import TrainingError
from configs.records import Ledger
from trainers.data.epoch_plan import EpochPlan
from trainers.data.lane_rows import LaneRows
from trainers.session import Session
from trainers.step import sum_ids


def close_epoch(session: Session, epochs: EpochPlan, lanes: Sequence[LaneRows]) -> None:
    """Compare the epoch's ledger with what it must hold, and begin that of the next one.

    Collective where rows are drawn. Raises TrainingError when the two differ.
    """
    cursor = session.cursor
    expected_rows, expected_ids = _expected(session, epochs, lanes)
    ok = (cursor.rows, cursor.id_sum) == (expected_rows, expected_ids)
    session.report(
        Ledger(
            time=time.time(),
            step=cursor.step,
            epoch=cursor.epoch + 1,
            split="train",
            rows=cursor.rows,
            expected_rows=expected_rows,
            id_sum=f"{cursor.id_sum:016x}",
            ok=ok,
            drawn=epochs.rates is not None,
        )
    )
    if not ok:
        raise TrainingError(
            f"epoch {cursor.epoch + 1} saw {cursor.rows} rows, it must hold {expected_rows}, "
            "or not the same ones. Prepare the data again and start a new run"
        )
    session.advance(epoch=cursor.epoch + 1, step_in_epoch=0, rows=0, id_sum=0)


def _expected(session: Session, epochs: EpochPlan, lanes: Sequence[LaneRows]) -> tuple[int, int]:
    """Give the rows of an epoch and the sum of their ids: the manifest's, or those of the draw.

    What is left out does not count.
    """
    if epochs.rates is None:
        info = session.manifest.splits["train"]
        rows, ids = info.rows, int(info.id_sum, 16)
    else:
        rows, ids = epochs.rates.num_rows, sum_ids(lane.id_sum() for lane in lanes)
    for out in session.cursor.mishaps.left_out_of(session.cursor.epoch).values():
        rows, ids = rows - len(out.row_ids), ids - sum(out.row_ids)
    return rows, ids % 2**64
