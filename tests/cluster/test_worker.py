"""A worker as far as it needs no Ray; whole ones are in test_finetuning."""

import json
import os
import sys
from pathlib import Path

from cluster.worker import _rank_log, _StopRequest, read_hosts
from trainers.storage import write_atomically


def test_hosts_are_read_up_to_the_first_rank_that_is_missing(tmp_path: Path) -> None:
    logs = str(tmp_path / "logs")
    assert read_hosts(logs) == ()
    for rank in (0, 1, 3):
        write_atomically(f"{logs}/rank-{rank}.json", json.dumps({"host": f"h{rank}"}).encode())
    assert read_hosts(logs) == ("h0", "h1")


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
