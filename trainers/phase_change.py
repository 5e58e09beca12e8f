"""Go from one phase of a run to the next, and prove what each did; what learns stands in phases.py.

A live engine gives no gradient to what is switched on under it (DeepSpeed#5639), so a phase begins
with a new engine, put together from the commit at its boundary, just as a resume would do it.
"""

import time
from collections.abc import Sequence

import torch.distributed as dist

from configs.errors import TrainingError
from configs.records import Proof
from trainers.agreement import reduced
from trainers.early_stopping import Best, should_stop
from trainers.partitions import weight_hashes
from trainers.session import Session
from trainers.strategy.phases import Bounds


def phase_is_over(session: Session, bounds: Sequence[Bounds]) -> bool:
    """Say whether another phase begins where the cursor stands."""
    cursor = session.cursor
    if cursor.phase + 1 >= len(session.phases) or cursor.step >= bounds[-1].last:
        return False
    stall = session.phases[cursor.phase].until_stall
    stalled = stall is not None and should_stop(cursor.phase_best, stall.stopping)
    return stalled or cursor.step >= bounds[cursor.phase].last


def begin_next_phase(session: Session) -> None:
    """Build the engine of the next phase from the commit at the boundary.

    Collective: every rank calls this. Raises TrainingError when a frozen weight has changed.
    """
    session.commits.settle()
    assert session.is_committed(), "a phase begins with a commit"
    if not session.live.frozen_unchanged():
        raise TrainingError(
            f"a frozen weight changed during phase {session.cursor.phase + 1}, which must never "
            "be. Report this as a defect"
        )
    cursor = session.cursor
    session.advance(
        phase=cursor.phase + 1,
        phase_starts=(*cursor.phase_starts, cursor.step),
        phase_best=Best(),
    )
    session.rebuild()


class MotionProof:
    """What began to learn in this phase, as it was before its first step."""

    def __init__(self, session: Session) -> None:
        """Hash what is new. A phase that is taken up in its middle was proved before."""
        cursor, phases = session.cursor, session.phases
        begins = cursor.step == cursor.phase_starts[cursor.phase]
        before = phases[cursor.phase - 1].trainable if cursor.phase else frozenset()
        phase = phases[cursor.phase]
        still = phase.late | session.live.idle
        new = phase.trainable - still - before if begins else frozenset()
        self._names = sorted(new)
        self._hashes = weight_hashes(session.engine, session.place.rank, new) if new else {}

    def settle(self, session: Session, rate: float, num_phases: int) -> None:
        """Prove and report, after the first step with a rate above 0, that what is new has moved.

        Collective: every rank calls this. Raises TrainingError when nothing of it has, or when a
        frozen weight has changed.
        """
        if not self._names or rate <= 0.0:
            return
        now = weight_hashes(session.engine, session.place.rank, frozenset(self._names))
        moved = reduced(
            [int(now.get(n) != self._hashes.get(n)) for n in self._names], dist.ReduceOp.MAX
        )
        unchanged = session.live.frozen_unchanged()
        learn, frozen = session.live.count_parameters()
        record = Proof(
            time=time.time(),
            step=session.cursor.step,
            phase=session.cursor.phase + 1,
            num_phases=num_phases,
            trainable_parameters=learn,
            frozen_parameters=frozen,
            new_tensors=len(self._names),
            moved_tensors=int(moved.sum().item()),
            frozen_unchanged=unchanged,
        )
        still = [name for name, flag in zip(self._names, moved.tolist(), strict=True) if not flag]
        self._names = []
        session.report(record)
        if not unchanged or not record.moved_tensors:
            what = "nothing that began to learn has moved" if unchanged else "a frozen weight moved"
            raise TrainingError(
                f"{what} in the first step of phase {record.phase}, which must never be. Report "
                "this as a defect"
            )
        if still:
            session.note(_unmoved(still, record.new_tensors), level="warning")


def _unmoved(still: Sequence[str], of: int) -> str:
    """Say which of the tensors that began to learn did not move."""
    shown = ", ".join(still[:3]) + (", ..." if len(still) > 3 else "")
    return (
        f"{len(still)} of {of} tensors that began to learn did not move in the first step: {shown}"
        ". Do they take part in the loss?"
    )
