"""Where a thread stands: in our code, in a library below it, in a collective."""

import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from trainers.stacks import ROOT, format_stacks, waits_for_others, where_stands

OURS = str(ROOT / "trainers" / "made_up.py")
TORCH = "/somewhere/site-packages/torch/distributed/distributed_c10d.py"
ZERO = "/somewhere/site-packages/deepspeed/runtime/zero/stage3.py"
AUTOGRAD = "/somewhere/site-packages/torch/autograd/graph.py"
USER = "/somewhere/else/losses.py"


def framed(path: str, name: str) -> Callable[[Callable[[], object]], object]:
    """Make a function that stands in a file of that name, on line 2, and calls another."""
    made: dict[str, Any] = {}
    exec(compile(f"def {name}(call):\n    call()\n", path, "exec"), made)
    function: Callable[[Callable[[], object]], object] = made[name]
    return function


def look(*frames: tuple[str, str]) -> tuple[str, bool, bool]:
    """Look at a thread in these frames, outermost first: where, waits on CPUs, waits on GPUs."""
    lock = threading.Lock()
    lock.acquire()
    call: Callable[[], object] = lock.acquire  # of C: it has no frame
    for path, name in reversed(frames):
        call = partial(framed(path, name), call)
    thread = threading.Thread(target=call)
    thread.start()
    assert thread.ident is not None
    limit = time.monotonic() + 10
    while frames[-1][1] not in (found := where_stands(thread.ident)):
        assert time.monotonic() < limit, found
    waits = [waits_for_others(thread.ident, on_gpu=on_gpu) for on_gpu in (False, True)]
    lock.release()
    thread.join()
    return found, waits[0], waits[1]


@pytest.mark.parametrize(
    ("frames", "where", "on_cpu", "on_gpu"),
    [
        ([(OURS, "step")], "trainers/made_up.py:2 step", False, True),
        ([(OURS, "step"), (TORCH, "all_reduce")], None, True, True),
        ([(OURS, "step"), (ZERO, "wait")], None, True, True),
        ([(OURS, "step"), (AUTOGRAD, "backward")], None, False, True),
        ([(OURS, "step"), (TORCH, "hook"), (USER, "loss")], None, False, False),
    ],
)
def test_who_waits_for_others_stands_in_a_collective(
    frames: list[tuple[str, str]], where: str | None, on_cpu: bool, on_gpu: bool
) -> None:
    found, waits, waits_on_gpu = look(*frames)
    path, name = frames[-1]
    inner = "/".join(path.split("/")[-2:])
    assert found == (where or f"trainers/made_up.py:2 step, there in {inner}:2 {name}")
    assert (waits, waits_on_gpu) == (on_cpu, on_gpu)


def test_a_thread_that_is_over_stands_nowhere() -> None:
    thread = threading.Thread(target=str)
    thread.start()
    thread.join()
    assert thread.ident is not None
    assert where_stands(thread.ident) == ""
    assert not waits_for_others(thread.ident, on_gpu=True)


def test_stacks_name_their_threads() -> None:
    over = threading.Event()
    thread = threading.Thread(target=over.wait, name="somebody")
    thread.start()
    found = format_stacks()
    over.set()
    thread.join()
    assert "thread somebody" in found
    assert "test_stacks_name_their_threads" in found
