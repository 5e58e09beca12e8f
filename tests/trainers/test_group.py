"""Processes that meet form one group."""

import multiprocessing
import socket
from typing import Any

import torch
import torch.distributed as dist

from trainers.group import join_group, leave_group, use_threads
from trainers.place import Place


def _meet(rank: int, port: int, answers: Any) -> None:
    join_group(Place(rank, 2, rank, "", "", 1, "cpu"), "127.0.0.1", port)
    total = torch.tensor([rank + 1])
    dist.all_reduce(total)
    backend = dist.get_backend()
    leave_group()
    leave_group()  # a second time does no harm
    answers.put((rank, int(total), backend, dist.is_initialized()))


def test_two_ranks_meet_on_the_cpu_and_leave() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    ranks = [context.Process(target=_meet, args=(rank, port, answers)) for rank in range(2)]
    for rank in ranks:
        rank.start()
    found = sorted(answers.get(timeout=120) for _ in ranks)
    for rank in ranks:
        rank.join(timeout=30)
    assert found == [(0, 3, "gloo", False), (1, 3, "gloo", False)]


def test_threads_are_those_of_the_worker() -> None:
    before = torch.get_num_threads()
    use_threads(2)
    assert torch.get_num_threads() == 2
    use_threads(before)
