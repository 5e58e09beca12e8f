"""Take out of a live run what goes into a commit; how it gets to the storage, others know."""

from typing import TYPE_CHECKING

from trainers import partitions
from trainers.arithmetic import arithmetic
from trainers.commit_thread import Part
from trainers.manifest import Manifest
from trainers.strategy.freezing import count_elements

if TYPE_CHECKING:
    from trainers.session import Session


def copy_state(session: "Session", name: str) -> Part:
    """Copy this rank's share of what learns or has learned into host memory, for the commit `name`.

    The copy holds until the next one.
    """
    place, memory, learned = session.place, session.commits.memory, session.learned()
    memory.begin()
    pieces = [
        *partitions.local_pieces(session.engine, place.rank, place.world_size, memory.keep),
        *partitions.frozen_pieces(
            session.engine, place.rank, place.world_size, learned, memory.keep
        ),
        *session.live.buffer_pieces(place.rank),
    ]
    memory.end()
    return Part(name, pieces, _manifest(session, learned=True))


def frozen_part(session: "Session", name: str) -> Part | None:
    """Give this rank's share of the weights that never learned; None where all do.

    They never change, so they are not copied.
    """
    place = session.place
    never = {n for n, _ in session.model.named_parameters()} - session.learned()
    if not never:
        return None
    pieces = partitions.frozen_pieces(
        session.engine, place.rank, place.world_size, never, partitions.untouched
    )
    return Part(name, [*pieces], _manifest(session, learned=False))


def _manifest(session: "Session", *, learned: bool) -> Manifest:
    named, names = session.model.named_parameters(), session.learned()
    place = session.place
    return Manifest(
        cursor=session.cursor,
        data_fingerprint=session.manifest.fingerprint,
        arithmetic=arithmetic(session.recipe),
        parameters={n: count_elements(p) for n, p in named if (n in names) == learned},
        buffers=session.live.buffer_sizes() if learned else {},
        frozen=session.frozen if learned else None,
        files=(),
        fence=place.attempt,
        recipe=session.recipe.model_dump(mode="json") if learned else None,
        packages=dict(place.packages),
        data_dir=place.data_dir,
    )
