"""Which proxies stand between a command and a cluster."""

import os
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest
import requests

from cluster.proxies import go_past_proxies, is_on_loopback, through_proxy


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "intranet")


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("http://127.0.0.1:8265", True),
        ("http://127.0.0.9:1", True),
        ("http://[::1]:8265", True),
        ("http://localhost:8265", True),
        ("http://10.0.0.1:8265", False),
        ("https://ray.example.org", False),
        ("http://127.example.org", False),
    ],
)
def test_loopback_is_told(address: str, expected: bool) -> None:
    assert is_on_loopback(address) is expected
    go_past_proxies(address)
    assert (os.environ["no_proxy"] == os.environ["NO_PROXY"] == "intranet") is not expected


def test_a_cluster_of_this_machine_is_asked_without_a_proxy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path.startswith("/") else 403)  # a proxy gets whole URLs
            self.end_headers()

        def log_message(self, *_parts: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setenv("http_proxy", address)
        assert requests.get(f"{address}/api/version", timeout=10).status_code == 403
        for _ in range(2):
            go_past_proxies(address)
        assert os.environ["no_proxy"] == os.environ["NO_PROXY"] == "intranet,127.0.0.1"
        assert requests.get(f"{address}/api/version", timeout=10).status_code == 200
        server.shutdown()


@pytest.mark.parametrize("proxy", ["http://me:secret@proxy.example.org:3128", "proxy:3128"])
def test_the_proxy_of_another_address_is_named(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert through_proxy("http://ray.example.org:8265") == ""
    monkeypatch.setenv("http_proxy", proxy)
    said = through_proxy("http://ray.example.org:8265")
    assert "through the proxy proxy" in said and "secret" not in said and ":3128" in said
    assert "Put ray.example.org into NO_PROXY" in said
    assert through_proxy("http://intranet:8265") == ""
