"""Options that commands share."""

import os
import pty
import subprocess
import sys

import click
import pytest

from launcher.options import open_client
from tests.launcher.fake_cluster import ADDRESS


def context(client):
    return click.Context(click.Command("any"), obj=client)


def test_options_come_before_what_the_client_was_made_with(cluster, tmp_path):
    given = cluster.client(storage="here")
    same = open_client(context(given))
    assert (same.where.address, same.where.storage) == (ADDRESS, str(tmp_path / "here"))
    other = open_client(context(given), "http://other:1", "s3://bucket")
    assert (other.where.address, other.where.storage) == ("http://other:1", "s3://bucket")
    assert other.backend is given.backend


def test_without_a_client_one_is_made():
    client = open_client(context(None), "http://other:1")
    assert (client.where.address, client.where.storage) == ("http://other:1", None)


@pytest.mark.parametrize(("typed", "said"), [(b"y\n", "True"), (b"\n", "False"), (b"n\n", "False")])
def test_question_is_put_to_a_person_at_a_terminal_alone(typed, said):
    question = "from launcher.options import ask; print(ask('Send it?'))"
    words = [sys.executable, "-c", question]
    parent, child = pty.openpty()
    try:
        os.write(parent, typed)
        asked = subprocess.run(
            words, stdin=child, stderr=child, stdout=subprocess.PIPE, text=True, timeout=60
        )
    finally:
        os.close(child)
        os.close(parent)
    assert asked.stdout == f"{said}\n"
    silent = subprocess.run(words, input="y\n", capture_output=True, text=True, timeout=60)
    assert (silent.stdout, silent.stderr) == ("False\n", "")
