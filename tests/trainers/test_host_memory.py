"""Copies in host memory: of what was, into the same buffers."""

import torch

from trainers.host_memory import HostMemory


def _copy(memory: HostMemory, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    memory.begin()
    copies = {name: memory.keep(name, values, torch.float32) for name, values in tensors.items()}
    memory.end()
    return copies


def test_a_copy_does_not_change_with_its_source() -> None:
    source = torch.arange(4.0, requires_grad=True)
    copy = _copy(HostMemory(), {"a": source})["a"]
    with torch.no_grad():
        source += 1
    assert copy.tolist() == [0.0, 1.0, 2.0, 3.0]
    assert not copy.requires_grad


def test_the_next_copy_takes_the_same_memory() -> None:
    memory = HostMemory()
    first = _copy(memory, {"a": torch.zeros(4), "b": torch.zeros(2)})
    places = {name: copy.data_ptr() for name, copy in first.items()}
    second = _copy(memory, {"b": torch.full((2,), 2.0), "a": torch.ones(4)})
    assert {name: copy.data_ptr() for name, copy in second.items()} == places
    assert second["b"].tolist() == [2.0, 2.0]
    assert first["a"].tolist() == [1.0] * 4  # that is why one commit is written at a time


def test_what_has_another_size_or_is_gone_gets_no_old_memory() -> None:
    memory = HostMemory()
    first = _copy(memory, {"a": torch.zeros(4), "b": torch.zeros(2)})
    second = _copy(memory, {"a": torch.ones(6)})
    assert second["a"].tolist() == [1.0] * 6
    third = _copy(memory, {"a": torch.ones(6), "b": torch.ones(2)})
    assert third["b"].data_ptr() != first["b"].data_ptr()


def test_half_precision_is_widened() -> None:
    copy = _copy(HostMemory(), {"a": torch.tensor([0.1], dtype=torch.bfloat16)})["a"]
    assert copy.dtype == torch.float32
    assert copy.item() == torch.tensor(0.1).bfloat16().item()
