"""Say where the threads of this process stand; when that is asked for is watchdog.py's."""

import sys
import threading
import traceback
from pathlib import Path
from types import FrameType

ROOT = Path(__file__).parent.parent
ROOMS = ("cluster", "trainers", "configs")
COLLECTIVES = ("/torch/distributed/", "/deepspeed/")
"""What a rank stands in that waits for others."""


def where_stands(thread: int) -> str:
    """Name the innermost frame of ours of a thread, and the innermost of all where it is another.

    `thread` is its identifier. Of a thread that is over the answer is empty.
    """
    frame = sys._current_frames().get(thread)
    if frame is None:
        return ""
    innermost, ours = _name(frame), frame
    while not _is_ours(ours) and ours.f_back is not None:
        ours = ours.f_back
    if not _is_ours(ours) or _name(ours) == innermost:
        return innermost
    return f"{_name(ours)}, there in {innermost}"


def waits_for_others(thread: int, *, on_gpu: bool) -> bool:
    """Say whether a thread stands inside a collective.

    On a GPU a collective is waited for wherever its answer is read, so that all of torch counts,
    and our own code where no other stands further in.
    """
    frame = sys._current_frames().get(thread)
    if frame is None:
        return False
    path = frame.f_code.co_filename
    if any(part in path for part in COLLECTIVES):
        return True
    return on_gpu and ("/torch/" in path or _is_ours(frame))


def format_stacks() -> str:
    """Write down the stacks of all threads, innermost frame last."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    parts = []
    for ident, frame in sys._current_frames().items():
        stack = "".join(traceback.format_stack(frame))
        parts.append(f"thread {names.get(ident, 'without a name')} ({ident})\n{stack}")
    return "\n".join(parts)


def _name(frame: FrameType) -> str:
    path = Path(frame.f_code.co_filename)
    shown = path.relative_to(ROOT) if path.is_relative_to(ROOT) else Path(*path.parts[-2:])
    return f"{shown}:{frame.f_lineno} {frame.f_code.co_name}"


def _is_ours(frame: FrameType) -> bool:
    path = Path(frame.f_code.co_filename)
    return path.is_relative_to(ROOT) and path.relative_to(ROOT).parts[0] in ROOMS
