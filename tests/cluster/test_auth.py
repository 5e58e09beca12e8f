"""Which address and which token, without a cluster."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cluster.auth import (
    Token,
    checked_address,
    find_token,
    goes_in_the_clear,
    named_by_owner,
    own_folder,
    own_runs,
    resolve_address,
    thaw_home,
    write_own,
    write_token,
)
from configs.errors import ClusterError, RecipeError, StorageError

ROOT = Path(__file__).parent.parent.parent
VARIABLES = (
    "THAW_ADDRESS",
    "RAY_API_SERVER_ADDRESS",
    "RAY_ADDRESS",
    "RAY_AUTH_TOKEN",
    "RAY_AUTH_TOKEN_PATH",
)


@pytest.fixture(autouse=True)
def nothing_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("THAW_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HOME", str(tmp_path))


def test_option_comes_before_recipe_before_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "http://ray:8265")
    assert resolve_address(None, None) == "http://ray:8265"
    monkeypatch.setenv("RAY_API_SERVER_ADDRESS", "http://api:8265")
    assert resolve_address(None, None) == "http://api:8265"
    monkeypatch.setenv("THAW_ADDRESS", "http://thaw:8265")
    assert resolve_address(None, None) == "http://thaw:8265"
    assert resolve_address(None, "http://recipe:8265") == "http://recipe:8265"
    assert resolve_address("http://option:8265", "http://recipe:8265") == "http://option:8265"


def test_no_cluster_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    with pytest.raises(ClusterError, match=r"thaw cluster up.*--address"):
        resolve_address(None, None)


def test_host_and_port_are_completed() -> None:
    assert checked_address("head:8265/") == "http://head:8265"


@pytest.mark.parametrize("value", ["ray://head:10001", "auto", "head"])
def test_what_is_no_dashboard_is_refused(value: str) -> None:
    with pytest.raises(RecipeError, match="not the address of a Ray dashboard"):
        checked_address(value)


def test_token_is_looked_for_where_ray_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert find_token("http://head:8265") is None
    (tmp_path / ".ray").mkdir()
    default = tmp_path / ".ray" / "auth_token"
    default.write_text("from home\n")
    assert find_token("http://head:8265") == Token("from home", f"the file {default}", default)
    path = tmp_path / "token"
    path.write_text("from path")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(path))
    assert find_token("http://head:8265") == Token("from path", f"the file {path}", path)
    monkeypatch.setenv("RAY_AUTH_TOKEN", "from variable")
    assert find_token("http://head:8265") == Token("from variable", "RAY_AUTH_TOKEN", None)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "could not be read: No such file or directory. Correct it, or RAY_AUTH_TOKEN_PATH"),
        (b"", "is empty. Put the cluster's token into it"),
        (b"two\nlines", "holds no token"),
        ("\N{SNOWMAN}".encode(), "holds no token"),
        (b"\xff\xfe", "it is not text"),
    ],
)
def test_token_file_that_cannot_be_used_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None, words: str
) -> None:
    path = tmp_path / "mine"
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(path))
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ClusterError) as told:
        find_token("http://head:8265")
    assert str(path) in str(told.value) and words in str(told.value)


def test_token_file_is_never_readable_for_others(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        path = tmp_path / "token"
        path.write_text("an older one")
        path.chmod(0o644)
        write_token(path, "new")
    finally:
        os.umask(before)
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("new", 0o600)


def test_home_is_the_variable_or_in_the_home_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert thaw_home() == tmp_path / "home"
    monkeypatch.delenv("THAW_HOME")
    assert thaw_home() == tmp_path / ".thaw"


@pytest.mark.parametrize(
    "value",
    ["not a url", "", "head", "ftp://head:1", "http://", "http://:8265", "http://head:99999",
     "http://h ead:1", "http://head:1@evil:2", "https://user:word@head", "http://head:1?x=y",
     "http://head:1#x", "auto", "http://head\x00:1", "javascript:alert(1)"],
)  # fmt: skip
def test_what_is_no_address_is_refused_as_a_mistake_of_the_person(value: str) -> None:
    with pytest.raises(RecipeError, match="is not the address of a Ray dashboard"):
        checked_address(value)


@pytest.mark.parametrize(
    ("value", "address"),
    [
        (" head:8265/ ", "http://head:8265"),
        ("HTTPS://Head.Example/ray/", "https://head.example/ray"),
        ("http://[::1]:8265", "http://[::1]:8265"),
    ],
)
def test_one_cluster_has_one_spelling(value: str, address: str) -> None:
    assert checked_address(value) == address


def test_environment_names_what_is_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not named_by_owner("http://head:8265")
    monkeypatch.setenv("THAW_ADDRESS", "HEAD:8265")
    assert named_by_owner("http://head:8265") and not named_by_owner("http://other:8265")


@pytest.mark.parametrize(
    ("address", "clear"),
    [
        ("http://head:8265", True),
        ("http://10.0.0.1:8265", True),
        ("https://head:8265", False),
        ("http://127.0.0.1:8265", False),
        ("http://127.0.0.9", False),
        ("http://[::1]:1", False),
        ("http://localhost:1", False),
        ("http://localhost.evil.example:1", True),
    ],
)
def test_http_beyond_this_machine_is_in_the_clear(address: str, clear: bool) -> None:
    assert goes_in_the_clear(address) is clear


def test_a_home_that_cannot_be_written_is_said_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("THAW_HOME", str(tmp_path / "file" / "home"))
    for write in (own_folder, own_runs, lambda: write_own("x", b"")):
        with pytest.raises(StorageError, match=r"be written: Not a directory\. Set THAW_HOME"):
            write()
    monkeypatch.setenv("THAW_HOME", str(tmp_path / "home"))
    assert own_runs().is_dir() and list(own_runs().iterdir()) == []


def test_a_person_without_a_home_is_told_so() -> None:
    code = (
        "import os; from cluster.auth import thaw_home; os.setuid(54321)\n"
        "try: thaw_home()\nexcept Exception as error: print(type(error).__name__, error)"
    )
    if os.getuid():
        pytest.skip("only root becomes somebody without a name")
    environment = {"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]}
    told = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout == "StorageError You have no home folder here. Set THAW_HOME to a folder\n"
