"""What is an address of files and what is none, each with its sentence."""

import pytest

from configs.addresses import (
    address_problem,
    check_address,
    expanded,
    is_of_the_system,
    shown_address,
)
from configs.errors import RecipeError
from configs.load import recipe_from

FINE = [
    "runs",
    "./runs",
    "/data/runs",
    "/dev/shm/runs",
    "s3://bucket",
    "s3://bucket/runs?endpoint_override=http://host:9000",
    "s3://key:word@bucket/runs",
    "gs://bucket/runs",
    "hdfs:///runs",
    "abfss://container@account/runs",
    "fsspec+memory://runs",
    "file:///data/runs",
    "a:b",
    "price$.x",
    "proc/runs",
    "/procs",
]
NONE = [
    ("", "is empty"),
    ("  ", "is empty"),
    ("s3://", "names no bucket. Write s3://bucket/folder"),
    ("s3:///x", "names no bucket"),
    ("s3://?region=x", "names no bucket"),
    ("s3://key:word@/x", "names no bucket"),
    ("gs://", "names no bucket"),
    ("s3://a b/x", "no bucket's name"),
    ("s3:/x", "neither a path nor an address. Write s3://x"),
    ("gs:bucket", "Write gs://bucket"),
    ("s3a://bucket/x", "Write s3://"),
    ("S3://bucket/x", "Write s3://"),
    ("ftp://host/x", "is no storage that can be written"),
    ("http://host/x", "is no storage that can be written"),
    ("file://x", "Write file:///folder"),
    ("file:x", "Write file://x"),
    ("file:///proc", "place of the system"),
    ("$HOME/runs", "holds $HOME"),
    ("s3://${BUCKET}/runs", "holds ${"),
    ("a\0b", "holds the character '\\x00'"),
    ("a\nb", "holds the character '\\n'"),
    ("x" * 6000, "has 6,000 characters"),
    ("x" * 256, "has a name of 256 bytes"),
    ("\xe4" * 128, "has a name of 256 bytes"),
    ("/proc", "place of the system"),
    ("/sys/x", "place of the system"),
    ("/dev", "place of the system"),
    ("/", "is the root"),
    ("//", "is the root"),
    ("/proc/..", "is the root"),
]


@pytest.mark.parametrize("address", FINE)
def test_what_is_an_address_is_taken(address: str) -> None:
    assert address_problem(address, to_write=True) is None
    assert check_address(address) == address


@pytest.mark.parametrize(("address", "said"), NONE)
def test_what_is_no_address_is_refused(address: str, said: str) -> None:
    problem = address_problem(address, to_write=True)
    assert problem is not None and said in problem
    with pytest.raises(RecipeError):
        check_address(address)
    value = {"name": "x", "model": {"path": "m"}, "task": {"kind": "text_classification"}}
    with pytest.raises(RecipeError, match="storage: ") as caught:
        recipe_from(value | {"data": {"train": "a.csv"}, "storage": address})
    assert said in str(caught.value) or "\\n" in said


def test_rows_come_from_more_places_than_runs_go_to() -> None:
    for address in ("hf://datasets/owner/name", "/", "cost$HERE.csv"):
        assert address_problem(address, to_write=False) is None
        assert address_problem(address, to_write=True) is not None
    assert "can be read" in str(address_problem("ftp://host/x", to_write=False))


@pytest.mark.parametrize("path", ["s3://", "s3:/x.csv", "file://x.csv", "/dev/zero", "a\0.csv"])
@pytest.mark.parametrize("form", ["plain", "section", "list", "pair"])
def test_rows_are_at_an_address_in_every_form(path: str, form: str) -> None:
    given = {
        "plain": path,
        "section": {"path": path},
        "list": ["a.csv", path],
        "pair": {"path": "a.txt", "pair": path},
    }[form]
    value = {"name": "x", "model": {"path": "m"}, "task": {"kind": "text_classification"}}
    with pytest.raises(RecipeError, match=r"data\.train"):
        recipe_from(value | {"data": {"train": given}})


def test_a_database_may_name_variables() -> None:
    value = {"name": "x", "model": {"path": "m"}, "task": {"kind": "text_classification"}}
    rows = {"path": "postgresql://me:${WORD}@host/rows", "query": "SELECT 1"}
    assert recipe_from(value | {"data": {"train": rows}})


def test_a_home_is_put_in_and_nobodys_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/somewhere")
    assert expanded("~/runs") == "/somewhere/runs"
    with pytest.raises(RecipeError, match=r"~nobody-at-all is nobody's home"):
        expanded("~nobody-at-all/runs")


def test_a_path_that_leads_to_the_system_is_refused_too(
    tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    up = "../" * len(tmp_path.parts)
    value = {"name": "x", "model": {"path": "m"}, "task": {"kind": "text_classification"}}
    with pytest.raises(RecipeError, match="place of the system"):
        recipe_from(value | {"data": {"train": "a.csv"}, "storage": f"{up}proc"})
    assert is_of_the_system("/proc/self") and not is_of_the_system("/dev/shm/x")


def test_an_address_is_shown_short_and_without_its_secrets() -> None:
    assert shown_address("a" * 81) == f"{'a' * 80}..."
    assert shown_address("s3://key:word@bucket") == "s3://***@bucket"
    assert shown_address("a; b") == "'a;b'"
