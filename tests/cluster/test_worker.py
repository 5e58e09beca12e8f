"""A worker as far as it needs no Ray; whole ones are in test_finetuning."""

import json
import os
import sys
from pathlib import Path

import pytest

from cluster.worker import _agree_on_data, _rank_log, _StopRequest, _wait_for_all, read_hosts
from configs.errors import HangError
from tests.cluster.test_orders import orders
from trainers.storage import write_atomically


def test_hosts_are_read_up_to_the_first_rank_that_is_missing(tmp_path: Path) -> None:
    logs = str(tmp_path / "logs")
    assert read_hosts(logs) == ()
    for rank in (0, 1, 3):
        write_atomically(f"{logs}/rank-{rank}.json", json.dumps({"host": f"h{rank}"}).encode())
    assert read_hosts(logs) == ("h0", "h1")


@pytest.mark.parametrize("data", [b"", b'{"host": "h', b"[]", b'{"host": 7}', b"\xff", b"[" * 9999])
def test_a_rank_whose_file_is_damaged_has_not_announced_itself(tmp_path: Path, data: bytes) -> None:
    write_atomically(f"{tmp_path}/rank-0.json", b'{"host": "h0"}')
    write_atomically(f"{tmp_path}/rank-1.json", data)
    assert read_hosts(str(tmp_path)) == ("h0",)


def test_who_waits_in_vain_says_for_what(tmp_path: Path) -> None:
    write_atomically(f"{tmp_path}/rank-0.json", b'{"host": "h0"}')
    assert _wait_for_all(str(tmp_path), 1, limit_s=0) == ("h0",)
    told = r"Only 1 of 2 workers can be seen in .* after 0 s\. Mount the same storage"
    with pytest.raises(HangError, match=told):
        _wait_for_all(str(tmp_path), 2, limit_s=0)
    told = r"rank 0 has not prepared the data after 0 s\. See its log in .*/logs/a01"
    with pytest.raises(HangError, match=told):
        _agree_on_data(orders(tmp_path), 1, limit_s=0)


def test_all_output_goes_to_the_log_of_the_rank(tmp_path: Path) -> None:
    with _rank_log(str(tmp_path), 1):
        os.write(1, b"from a library\n")
        os.write(2, b"and its warning\n")
    os.write(1, b"")
    assert (tmp_path / "rank-1.log").read_text() == "from a library\nand its warning\n"
    sys.stdout.flush()


def test_stop_is_seen_and_looked_up_once_a_second(tmp_path: Path) -> None:
    path = tmp_path / "stop.json"
    path.touch()
    asked = _StopRequest((str(path), str(path.with_name("pause.json"))))
    assert asked()
    path.unlink()
    assert asked()
    early = _StopRequest((str(path), str(path.with_name("pause.json"))))
    assert not early()
    path.touch()
    assert not early()
