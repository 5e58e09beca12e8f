"""Run a function on real gloo ranks, one process each, with every wait bounded."""

import faulthandler
import multiprocessing
import os
import pickle
import sys
import tempfile
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from tests.refusals import TOLD_TO, current_test, tell_errors

# Ranks are forked from a server that has the slow imports behind it and has run no torch operation.
FORKSERVER = multiprocessing.get_context("forkserver")
# What a whole run imports late is most of the time that a small one takes.
PRELOADED = [
    "deepspeed.runtime.zero.muon.muon_optimizer",
    "peft",
    "sklearn.metrics",
    "torchmetrics",
    "trainers.finetune",
    "trainers.finish",
    "trainers.tasks.pretrained",
    "transformers.models.auto.modeling_auto",
    "transformers.models.auto.tokenization_auto",
    "transformers.models.bert.modeling_bert",
    "transformers.models.bert.tokenization_bert",
]


def on_ranks(
    world_size: int, function: Callable[..., Any], *arguments: Any, seconds: float = 150
) -> list[Any]:
    """Call `function(rank, world_size, *arguments)` on every rank; returns the results by rank.

    The process group is there when the function is called. A rank that raises or hangs fails the
    test with its own words; a hang leaves the stacks of all threads on stderr.
    """
    with tempfile.TemporaryDirectory() as folder:
        pipes, processes = _start(world_size, function, folder, seconds, arguments)
        try:
            return _collect(pipes, seconds)
        finally:
            _end(processes, patience_s=10)


def on_ranks_that_die(
    world_size: int, function: Callable[..., Any], *arguments: Any, seconds: float = 150
) -> list[int]:
    """Call a function on every rank until one rank dies; the others are killed then.

    Returns the signals that ended the ranks, 0 for one that ended by itself. Fails when every rank
    gives an answer.
    """
    with tempfile.TemporaryDirectory() as folder:
        _pipes, processes = _start(world_size, function, folder, seconds, arguments)
        ready = wait([process.sentinel for process in processes], timeout=seconds + 30)
        assert ready, f"no rank died in {seconds + 30} s"
        _end(processes, patience_s=0)
        signals = [max(0, -process.exitcode) for process in processes]
        assert any(signals), "every rank ended by itself"
        return signals


def _start(
    world_size: int,
    function: Callable[..., Any],
    folder: str,
    seconds: float,
    arguments: tuple[Any, ...],
) -> tuple[list[Connection], list[Any]]:
    FORKSERVER.set_forkserver_preload(PRELOADED)
    store = f"file://{Path(folder) / 'store'}"
    told_to = (os.environ.get(TOLD_TO, ""), current_test())
    pipes, processes = [], []
    for rank in range(world_size):
        ours, theirs = FORKSERVER.Pipe(duplex=False)
        process = FORKSERVER.Process(
            target=_run_rank,
            args=(theirs, function, rank, world_size, store, seconds, arguments, told_to),
        )
        process.start()
        theirs.close()
        pipes.append(ours)
        processes.append(process)
    return pipes, processes


def _end(processes: list[Any], patience_s: float) -> None:
    for process in processes:
        process.join(timeout=patience_s)
        if process.is_alive():
            process.kill()
            process.join()


def _collect(pipes: list[Connection], seconds: float) -> list[Any]:
    results: dict[int, Any] = {}
    failures: list[str] = []
    waiting = {pipe: rank for rank, pipe in enumerate(pipes)}
    while waiting and not failures:
        ready = wait(list(waiting), timeout=seconds + 30)
        assert ready, f"ranks {sorted(waiting.values())} did not answer in {seconds + 30} s"
        for pipe in ready:
            assert isinstance(pipe, Connection)
            rank = waiting.pop(pipe)
            try:
                ok, value = pickle.loads(pipe.recv_bytes())
            except (EOFError, ConnectionResetError):
                ok, value = False, "ended without an answer"
            if ok:
                results[rank] = value
            else:
                failures.append(f"rank {rank}: {value}")
    assert not failures, "\n".join(failures)
    return [results[rank] for rank in range(len(pipes))]


def _run_rank(
    pipe: Connection,
    function: Callable[..., Any],
    rank: int,
    world_size: int,
    store: str,
    seconds: float,
    arguments: tuple[Any, ...],
    told_to: tuple[str, str],
) -> None:
    if told_to[0]:
        tell_errors(*told_to)
    faulthandler.dump_traceback_later(seconds, exit=True, file=sys.__stderr__)
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(world_size))
    # What ranks keep on their node ends with the test.
    tempfile.tempdir = str(Path(store.removeprefix("file://")).parent)
    import torch
    import torch.distributed as dist

    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=store, rank=rank, world_size=world_size)
    try:
        answer = (True, function(rank, world_size, *arguments))
    except BaseException:
        answer = (False, traceback.format_exc())
    # Plain pickle copies tensors; multiprocessing's own would share memory that ends with the rank.
    pipe.send_bytes(pickle.dumps(answer))
    pipe.close()
    # pyarrow and deepspeed sometimes abort at interpreter exit, after all work is done.
    os._exit(0)
