"""A real S3 server on this machine for tests; nothing leaves it."""

import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest


@dataclass(frozen=True)
class ObjectStore:
    """Where the server listens."""

    endpoint: str

    def make_bucket(self, name: str) -> str:
        """Make a bucket and give its address."""
        request = urllib.request.Request(f"{self.endpoint}/{name}", method="PUT")
        urllib.request.urlopen(request).close()
        return f"s3://{name}"


@contextmanager
def started_object_store() -> Iterator[ObjectStore]:
    """Start the server and let every s3:// address of this process and its children mean it."""
    server_module = pytest.importorskip("moto.server", reason="the extra dev is not installed")
    server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", endpoint)
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        yield ObjectStore(endpoint)
    server.stop()
