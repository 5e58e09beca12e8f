"""Read lines of a file while it grows; which file it is, and when it is done, the caller says."""

import time
from collections.abc import Callable, Iterator

from configs.records import split_lines

POLL_S = 0.3


def tail_lines(
    read: Callable[[int], bytes],
    grows: Callable[[], bool],
    wait: Callable[[float], None] = time.sleep,
) -> Iterator[str]:
    """Yield whole lines until the file has stopped to grow, then what is left without an end.

    `read` gives what stands after a number of bytes. Whether the file grows is asked before it is
    read, so that nothing written before the end is missed.
    """
    start = 0
    while True:
        growing = grows()
        data = read(start)
        end = data.rfind(b"\n") + 1 if growing else len(data)
        yield from split_lines(data[:end].decode(errors="replace"))
        start += end
        if not growing:
            return
        wait(POLL_S)
