"""Values of secrets do not get through, whatever form they are written in."""

import base64
import html
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from urllib.parse import quote, quote_plus

import pytest

from configs.errors import DataError
from trainers import masking, storage

VALUE = 'p4ss"word/with+odd\\signs'


@pytest.fixture
def hidden() -> Iterator[None]:
    before = masking._forms
    masking.hide([VALUE])
    yield
    masking._forms = before


@pytest.mark.parametrize(
    "written",
    [
        VALUE,
        json.dumps({"a": VALUE}),
        repr({"a": VALUE}),
        f"https://host/?key={quote(VALUE, safe='')}&x=1",
        f"https://host/{quote(VALUE)}",
        f"https://host/?key={quote_plus(VALUE)}",
        quote(VALUE, safe="").lower(),
        VALUE.upper(),
        VALUE.lower(),
        VALUE.title(),
        VALUE.encode().hex(),
        VALUE.encode().hex().upper(),
        VALUE.encode().hex(":"),
        "".join(f"%{byte:02X}" for byte in VALUE.encode()),
        html.escape(VALUE),
        json.dumps(json.dumps(VALUE.upper())[1:-1])[1:-1].replace("\\\\", "\\"),
        f"{VALUE[:9]}\n{VALUE[9:]}",
        f"{VALUE[:9]}\r\n    {VALUE[9:]}",
        f"('{VALUE[:9]}'\n '{VALUE[9:]}')",
        json.dumps(f"{VALUE[:9]}\n{VALUE[9:]}"),
        "\n".join(VALUE),
        base64.encodebytes(b"x" * 55 + VALUE.encode()).decode(),
        base64.b64encode(VALUE.upper().encode()).decode(),
        base64.urlsafe_b64encode(VALUE.encode()).decode(),
        *(
            f"Basic {base64.b64encode(f'{user}:{VALUE}'.encode()).decode()}"
            for user in ("a", "ab", "abc")
        ),
    ],
)
@pytest.mark.usefixtures("hidden")
def test_every_form_is_masked(written: str) -> None:
    said = masking.masked(f"before {written} after")
    assert "***" in said and VALUE.lower() not in said.lower()
    assert said.startswith("before ") and said.endswith(" after")


@pytest.mark.usefixtures("hidden")
def test_lines_that_are_appended_are_masked(tmp_path) -> None:
    line = json.dumps({"v": 1, "message": f"bad login {VALUE}"})
    storage.append_lines(str(tmp_path / "metrics.jsonl"), [line])
    assert json.loads((tmp_path / "metrics.jsonl").read_text())["message"] == "bad login ***"


@pytest.mark.usefixtures("hidden")
def test_errors_keep_their_class_where_it_is_ours_and_lose_the_value() -> None:
    ours = masking.masked_error(DataError(f"no entry with {VALUE}"))
    assert (type(ours), str(ours)) == (DataError, "no entry with ***")
    theirs = masking.masked_error(ConnectionResetError(f"reset {VALUE}"))
    assert str(theirs) == "ConnectionResetError: reset ***"
    clean = ValueError("nothing in it")
    assert masking.masked_error(clean) is clean


def filtered(text: bytes, **environment: str) -> bytes:
    command = [sys.executable, "-I", "-S", masking.__file__, *environment]
    return subprocess.run(
        command, input=text, env=environment, capture_output=True, check=True, timeout=20
    ).stdout


def test_filter_masks_lines_long_lines_and_the_lines_of_a_key() -> None:
    key = "-----BEGIN KEY-----\nfirst-line-of-it\nsecond-line-of-it\n-----END KEY-----"
    text = f"a {VALUE} b\nc second-line-of-it\nno end {VALUE}".encode()
    assert filtered(text, A=VALUE, B=key) == b"a *** b\nc ***\nno end ***"
    long = b"x" * (2**17 - 5) + VALUE.encode() + b"y" * 2**17
    assert filtered(long, A=VALUE) == b"x" * (2**17 - 5) + b"***" + b"y" * 2**17


def test_filter_passes_on_what_is_no_text() -> None:
    data = bytes(range(256)) + b"\n"
    assert filtered(data, A=VALUE) == data


def test_values_that_differ_in_a_secret_alone_are_not_taken_for_one(hidden: None) -> None:
    names = ["loss", f"acc_{VALUE}"]
    assert masking.told_apart(names) == {"loss": "loss", f"acc_{VALUE}": "acc_***"}
    with pytest.raises(ValueError, match=r"^acc_\*\*\*$"):
        masking.told_apart([*names, f"acc_{VALUE.upper()}"])


@pytest.mark.parametrize("at", [1, 2, 5, len(VALUE) - 1])
def test_filter_masks_what_comes_in_two_chunks_and_over_lines(at: int) -> None:
    command = [sys.executable, "-I", "-S", masking.__file__, "A"]
    pipe = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, env={"A": VALUE}, **pipe) as process:
        for chunk in (f"one {VALUE[:at]}", f"{VALUE[at:]}\ntwo {VALUE[:at]}\n", VALUE[at:]):
            os.write(process.stdin.fileno(), chunk.encode())
        process.stdin.close()
        assert process.stdout.read() == b"one ***\ntwo ***"


def test_filter_does_not_keep_back_lines_for_a_few_letters() -> None:
    command = [sys.executable, "-I", "-S", masking.__file__, "A"]
    pipe = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, env={"A": VALUE}, **pipe) as process:
        os.write(process.stdin.fileno(), f"a line that ends with {VALUE[0]}\n".encode())
        assert process.stdout.readline() == f"a line that ends with {VALUE[0]}\n".encode()
        process.stdin.close()
