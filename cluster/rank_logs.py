"""Read what one rank of an attempt left behind: its log, its stacks, what it said of a hang.

What that means for the run is judged in diagnosis.py.
"""

import json
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from cluster.logs import read_end
from cluster.peer_loss import tells_peer_loss
from cluster.usage import Usage, find_usage
from configs.errors import NotFoundError, StorageError
from trainers import storage as files

TAIL_BYTES = 256 * 1024
MOST_LETTERS = 500
MOST_LINES = 6
MOST_FRAMES = 5
STAMP = r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} [A-Z]+ [\w.]+: "
ENTRY = re.compile(STAMP, re.MULTILINE)
FAILED = re.compile(STAMP + r"rank \d+ failed$", re.MULTILINE)
ENDED = re.compile(STAMP + r"rank \d+ ended: ", re.MULTILINE)
RAISED = re.compile(r"^([A-Za-z_][\w.]*)(?:: |$)", re.MULTILINE)
FRAME = re.compile(r'^ *File "(.+?)", line (\d+),? in (.+)$', re.MULTILINE)
CRASH = re.compile(
    r"^(?:\*\*\* )?(SIG(?:SEGV|BUS|ILL|FPE|ABRT) received at .*|Fatal Python error: .*"
    r"|terminate called after throwing .*|Intel oneMKL FATAL ERROR: .*)$",
    re.MULTILINE,
)
OURS = re.compile(r"^(?:.*/)?((?:cluster|trainers|configs)/.+)$")

Fate = Literal["ended", "failed", "lost another", "hung", "waited", "silent"]


class RankReport(BaseModel):
    """What a rank left behind."""

    model_config = ConfigDict(frozen=True)
    rank: int
    host: str
    """Its node; empty where it has not announced itself."""
    fate: Fate
    """`lost another` only lost its connection, `waited` stood in a collective, `silent` has not
    said that it ended."""
    time: float | None = None
    """When it said so, by its own clock."""
    error: str = ""
    """Class of the exception."""
    message: str = ""
    """What the exception says, trimmed."""
    frame: str = ""
    """Where it was raised: the innermost frame that is ours or a person's."""
    stands: str = ""
    """Where a hung rank stands."""
    stack: tuple[str, ...] = ()
    """Its innermost frames, the innermost last."""
    usage: Usage | None = None

    @property
    def words(self) -> str:
        """Give class and message of the exception."""
        return f"{self.error}: {self.message}" if self.message else self.error


def read_ranks(logs: str) -> list[RankReport]:
    """Read what the ranks of an attempt left behind, in order."""
    names = set(files.list_names(logs))
    found = {int(match[1]) for name in names if (match := re.match(r"rank-(\d+)\.", name))}
    return [_read_rank(logs, rank, names) for rank in sorted(found)]


def last_exception(log: str) -> tuple[str, str, str]:
    """Find the exception with which a rank failed: its class, its message, and where it was raised.

    Three empty texts where there is none.
    """
    failed = [*FAILED.finditer(log)]
    if not failed:
        return "", "", ""
    text = log[failed[-1].end() :]
    following = ENTRY.search(text)
    block = text[: following.start()] if following else text
    block = block[max(0, block.rfind("Traceback (most recent call last):")) :]
    raised = RAISED.search(block, max((m.end() for m in FRAME.finditer(block)), default=0))
    if raised is None:
        return "", "", innermost_frame(block)
    message = trimmed(block[raised.end() :]) if raised.group().endswith(" ") else ""
    return raised[1].rpartition(".")[2], message, innermost_frame(block)


def trimmed(text: str) -> str:
    """Cut a text to what a person can use."""
    lines = [line.strip() for line in text.splitlines() if line.strip()][:MOST_LINES]
    whole = "\n".join(lines)
    return whole if len(whole) <= MOST_LETTERS else f"{whole[: MOST_LETTERS - 3]}..."


def innermost_frame(traceback: str) -> str:
    """Name the innermost frame that is ours or a person's; any other where there is none."""
    frames = [*_frames(traceback)]
    own = [name for path, name in frames if _is_own(path)]
    return (own or [name for _, name in frames] or [""])[-1]


def _read_rank(logs: str, rank: int, names: set[str]) -> RankReport:
    log = _text(logs, f"rank-{rank}.log", names)
    told = _json(logs, f"rank-{rank}.json", names)
    hang = _json(logs, f"rank-{rank}.hang.json", names)
    stacks = _text(logs, f"rank-{rank}.stacks.txt", names)
    error, message, frame = last_exception(log)
    crash = CRASH.search(log)
    if not error and crash is not None:
        error, message = "Crash", trimmed(crash[1])
    entries = [*ENTRY.finditer(log)]
    return RankReport(
        rank=rank,
        host=str(told.get("host", "")),
        fate=_fate(log, hang, stacks, (error, message)),
        time=_time(entries[-1].group()) if entries else None,
        error=error,
        message=message,
        frame=frame,
        stands=str(hang.get("doing", "")),
        stack=_own_stack(stacks),
        usage=find_usage(log),
    )


def _fate(log: str, hang: dict[str, Any], stacks: str, raised: tuple[str, str]) -> Fate:
    if hang:
        return "hung" if hang.get("is_late") and not hang.get("waits") else "waited"
    if raised[0] == "Crash":
        return "failed"
    if raised[0]:
        return "lost another" if tells_peer_loss(*raised) else "failed"
    if ENDED.search(log):
        return "ended"
    return "hung" if stacks else "silent"


def _own_stack(stacks: str) -> tuple[str, ...]:
    """Take from all stacks of a rank the end of the one that does its work."""
    threads = re.split(r"^(?=thread |Thread 0x|Current thread 0x)", stacks, flags=re.MULTILINE)
    ours = [one for one in threads if re.search(r'/cluster/worker\.py", line \d+,? in _?call', one)]
    chosen = (ours or [one for one in threads if FRAME.search(one)] or [""])[0]
    names = [name for _, name in _frames(chosen)]
    if "most recent call first" in chosen:
        names.reverse()
    return tuple(names[-MOST_FRAMES:])


def _frames(text: str) -> Iterator[tuple[str, str]]:
    """Yield the path of each frame and its name as it is shown."""
    for path, line, function in FRAME.findall(text):
        ours = OURS.match(path) if _is_own(path) else None
        shown = ours[1] if ours else "/".join(path.split("/")[-2:])
        yield path, f"{shown}:{line} in {function}"


def _is_own(path: str) -> bool:
    """Say whether a file is ours or a person's, not of a library."""
    if "/site-packages/" in path or "/dist-packages/" in path:
        inside = re.split(r"/(?:site|dist)-packages/", path)[-1]
        return inside.split("/")[0] in ("cluster", "trainers", "configs")
    return not re.search(r"/lib/python3\.\d+/|^<", path)


def _time(stamp: str) -> float:
    return datetime.strptime(stamp[:23], "%Y-%m-%d %H:%M:%S,%f").timestamp()


def _text(logs: str, name: str, names: set[str]) -> str:
    if name not in names:
        return ""
    try:
        return read_end(files.join(logs, name), TAIL_BYTES).decode(errors="replace")
    except (NotFoundError, StorageError):
        return ""


def _json(logs: str, name: str, names: set[str]) -> dict[str, Any]:
    try:
        value = json.loads(_text(logs, name, names) or "{}")
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
