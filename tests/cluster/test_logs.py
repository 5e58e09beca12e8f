"""Logs that grow."""

from cluster.logs import read_end, read_log


def test_a_log_is_read_from_where_it_was_left(tmp_path):
    log = tmp_path / "rank-0.log"
    assert read_log(str(log)) == b""
    log.write_bytes(b"one\n")
    assert read_log(str(log)) == b"one\n"
    log.write_bytes(b"one\ntwo")
    assert read_log(str(log), 4) == b"two"
    assert read_log(f"file://{log}", 7) == b""


def test_the_end_of_a_log_is_at_most_so_long(tmp_path):
    log = tmp_path / "rank-0.log"
    assert read_end(str(log), 9) == b""
    log.write_bytes(b"one\ntwo")
    assert (read_end(str(log), 3), read_end(str(log), 99)) == (b"two", b"one\ntwo")
    assert read_end(f"file://{log}", 4) == b"\ntwo"
