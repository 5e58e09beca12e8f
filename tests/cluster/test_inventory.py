"""Nodes of a cluster as its dashboard tells them."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from cluster.inventory import list_free_at, list_nodes_at
from configs.errors import ClusterError


def node(ip, *, head=False, state="ALIVE"):
    return {
        "node_id": f"id-{ip}",
        "node_ip": ip,
        "is_head_node": head,
        "state": state,
        "resources_total": {"CPU": 4.0},
    }


@contextmanager
def dashboard(nodes, status=200, groups=()) -> Iterator[str]:
    """Answer as a Ray dashboard does."""
    version = {"version": "4", "ray_version": "2.60.0", "ray_commit": "x", "session_name": "s"}

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self):
            is_version = self.path.startswith("/api/version")
            listed = [*groups] if "placement_groups" in self.path else nodes
            value = version if is_version else {"data": {"result": {"result": listed}}}
            self.send_response(200 if is_version else status)
            self.end_headers()
            self.wfile.write(json.dumps(value).encode())

        def log_message(self, *words):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_living_nodes_come_with_the_head_first(monkeypatch):
    monkeypatch.setenv("RAY_AUTH_TOKEN", "token")
    nodes = [node("10.0.0.1"), node("10.0.0.9", state="DEAD"), node("10.0.0.7", head=True)]
    with dashboard(nodes) as address:
        found = list_nodes_at(address)
    assert [one.host for one in found] == ["10.0.0.7", "10.0.0.1"]
    assert found[0].resources == {"CPU": 4.0}


def test_a_dashboard_that_does_not_tell_is_a_cluster_error(monkeypatch):
    monkeypatch.setenv("RAY_AUTH_TOKEN", "token")
    with dashboard([], status=503) as address, pytest.raises(ClusterError, match="list its nodes"):
        list_nodes_at(address)


def test_what_groups_of_workers_hold_is_not_free():
    bundle = {"node_id": "id-10.0.0.1", "unit_resources": {"CPU": 1.5, "GPU": 1.0}}
    other = {"node_id": "id-10.0.0.2", "unit_resources": {"CPU": 9.0}}
    nodes = [node("10.0.0.1", head=True), node("10.0.0.2"), node("10.0.0.3")]
    groups = [{"bundles": [bundle, bundle]}, {"bundles": [other]}]
    with dashboard(nodes, groups=groups) as address:
        free = list_free_at(address)
    assert [each.resources for each in free] == [{"CPU": 1.0}, {"CPU": 0.0}, {"CPU": 4.0}]
