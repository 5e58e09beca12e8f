"""Options that commands share."""

import click

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
