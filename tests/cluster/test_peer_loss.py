"""What ranks say that lost another one."""

import pytest

from cluster.peer_loss import is_peer_loss
from configs.errors import TrainingError

CLOSED = RuntimeError("[gloo/transport/tcp/pair.cc:547] Connection closed by peer [127.0.0.3]:1")


@pytest.mark.parametrize(
    "error",
    [
        CLOSED,
        RuntimeError("Connection reset by peer"),
        RuntimeError("NCCL error: remote process exited or there was a network error"),
        ConnectionResetError("Connection reset by peer"),
    ],
)
def test_loss_of_a_peer_is_known_by_its_words(error: Exception) -> None:
    assert is_peer_loss(error)


def test_own_errors_are_no_loss_of_a_peer() -> None:
    assert not is_peer_loss(TrainingError("connection closed by peer"))
    assert not is_peer_loss(ValueError("bad label"))
