"""cluster up, down, status."""

import json

from launcher.cli import run
from tests.launcher.fake_cluster import ADDRESS


def test_up_status_down(cluster, capsys):
    assert run(["cluster", "up", "--nodes", "3", "--cpus-per-node", "2"], cluster.client()) == 0
    out, err = capsys.readouterr()
    assert out.startswith(f"cluster   {ADDRESS} \u00b7 3 nodes \u00b7 2 CPUs each\n")
    assert "starting 3 nodes" in err
    assert run(["cluster", "status", "-o", "json"], cluster.client()) == 0
    value = json.loads(capsys.readouterr().out)
    assert (value["v"], value["address"], value["live_nodes"]) == (1, ADDRESS, 3)
    assert run(["cluster", "up"], cluster.client()) == 9
    assert run(["cluster", "down"], cluster.client()) == 0
    assert run(["cluster", "status"], cluster.client()) == 8
    assert "thaw cluster up" in capsys.readouterr().err


def test_down_without_a_cluster_says_so(cluster, capsys):
    assert run(["cluster", "down"], cluster.client()) == 0
    assert capsys.readouterr().err == "cluster   none was running\n"


def test_dashboard_listens_at_the_loopback_unless_asked(cluster, capsys):
    assert run(["cluster", "up"], cluster.client()) == 0
    assert "warning" not in capsys.readouterr().err
    run(["cluster", "down"], cluster.client())
    capsys.readouterr()
    assert run(["cluster", "up", "--host", "10.1.2.3"], cluster.client()) == 0
    out, err = capsys.readouterr()
    assert "http://10.1.2.3:" in out
    assert "other machines reach the dashboard at 10.1.2.3" in err and "token" in err


def test_help_says_how_secrets_reach_the_nodes(capsys):
    assert run(["cluster", "up", "--help"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "Its nodes have the environment of this command" in said and "cluster.secrets" in said
