"""Where ranks meet."""

import os
import socket

import pytest

from cluster.meeting import ADDRESS, PORT, find_meeting_point, set_meeting_point


def test_meeting_point_is_free_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (ADDRESS, PORT):
        monkeypatch.setenv(name, "")
    address, port = find_meeting_point()
    with socket.socket() as sock:
        sock.bind((address, port))
    set_meeting_point(address, port)
    assert (os.environ[ADDRESS], os.environ[PORT]) == (address, str(port))
