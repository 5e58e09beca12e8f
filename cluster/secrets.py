"""Find the values of secrets on the machine that needs them; a recipe holds their names alone.

The environment in which Ray was started on a machine comes first, then a file of lines NAME=value
that only its owner can read: THAW_SECRETS_FILE, or `secrets` in the folder of Thaw's own state.
"""

import os
import stat
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from cluster.auth import thaw_home
from configs.errors import ClusterError, reason_of
from configs.secret_words import VARIABLE_NAME
from trainers import masking

FILE_VARIABLE = "THAW_SECRETS_FILE"
DRAIN_LIMIT_S = 10.0


def take_secrets(names: Sequence[str]) -> dict[str, str]:
    """Set secrets for this process and hide their values from what it writes.

    Gives what is wrong with each that cannot be had here, by name.
    """
    if not names:
        return {}
    problems: dict[str, str] = {}
    absent = [name for name in names if not os.environ.get(name)]
    in_file = {}
    if absent:
        try:
            in_file = read_secrets_file(secrets_file())
        except ClusterError as error:
            problems = dict.fromkeys(absent, str(error))
    for name in names:
        value = os.environ.get(name) or in_file.get(name, "")
        if not value:
            problems.setdefault(name, "is not set")
        elif len(value.strip()) < masking.SHORTEST:
            problems[name] = (
                f"has fewer than {masking.SHORTEST} characters, too few to be masked in logs"
            )
        else:
            os.environ[name] = value
            masking.hide([value])
    return problems


def secrets_file() -> Path:
    """Give the file in which this machine may keep secrets."""
    return Path(os.environ.get(FILE_VARIABLE) or thaw_home() / "secrets")


def read_secrets_file(path: Path) -> dict[str, str]:
    """Read lines NAME=value; a file that is absent holds none.

    Raises ClusterError for a file that others can read, and for a line that is none of these.
    """
    try:
        found = path.stat()
        if found.st_uid not in (os.getuid(), 0) or stat.S_IMODE(found.st_mode) & 0o077:
            raise ClusterError(
                f"can be read by others in {path} (mode {stat.S_IMODE(found.st_mode):04o}); "
                f"`chmod 600 {path}`"
            )
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        reason = reason_of(error) if isinstance(error, OSError) else "it is not text"
        raise ClusterError(f"cannot be read from {path}: {reason}") from error
    secrets = {}
    for number, line in enumerate(text.splitlines(), 1):
        words = line.strip().removeprefix("export ")
        if not words or words.startswith("#"):
            continue
        name, equals, value = words.partition("=")
        if not equals or not VARIABLE_NAME.fullmatch(name.strip()):
            raise ClusterError(f"cannot be read: {path}, line {number} is not NAME=value")
        secrets[name.strip()] = _unquoted(value.strip())
    return secrets


def refuse_missing(found: Mapping[str, Mapping[str, str]]) -> None:
    """Raise ClusterError about secrets that machines lack; `found` has the problems by machine."""
    hosts: dict[tuple[str, str], list[str]] = {}
    for host, problems in found.items():
        for name, problem in problems.items():
            hosts.setdefault((name, problem), []).append(host)
    if not hosts:
        return
    said = [f"{name} {problem} on {_joined(on)}" for (name, problem), on in hosts.items()]
    raise ClusterError(
        f"cluster.secrets: {'; '.join(said)}. Start Ray there with it in the environment, or write "
        f"NAME=value into a file of mode 600 that {FILE_VARIABLE} names there "
        f"(else {thaw_home() / 'secrets'})"
    )


@contextmanager
def masked_output(names: Sequence[str], descriptors: Sequence[int] = (1, 2)) -> Iterator[None]:
    """Send what this process writes to file descriptors through a filter that hides its secrets.

    All descriptors go where the first went, in one order. Nothing is done without names.
    """
    if not names:
        yield
        return
    kept = [os.dup(number) for number in descriptors]
    _flush()
    process, pipe = start_filter(names, kept[0])
    for number in descriptors:
        os.dup2(pipe, number)
    os.close(pipe)
    try:
        yield
    finally:
        _flush()
        for number, old in zip(descriptors, kept, strict=True):
            os.dup2(old, number)
            os.close(old)
        drain(process)


def start_filter(names: Sequence[str], target: int) -> "tuple[subprocess.Popen[bytes], int]":
    """Start the filter of trainers/masking.py onto a file descriptor; give it and its input."""
    read, write = os.pipe()
    command = [sys.executable, "-I", "-S", masking.__file__, *names]
    process = subprocess.Popen(command, stdin=read, stdout=target)
    os.close(read)
    return process, write


def drain(process: "subprocess.Popen[bytes]") -> None:
    """Wait until a filter whose input was closed has written all; not for ever."""
    try:
        process.wait(DRAIN_LIMIT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _flush() -> None:
    sys.stdout.flush()
    sys.stderr.flush()


def _unquoted(value: str) -> str:
    quoted = len(value) >= 2 and value[0] == value[-1] and value[0] in "'\""
    return value[1:-1] if quoted else value


def _joined(words: Sequence[str]) -> str:
    return f"{', '.join(words[:-1])} and {words[-1]}" if len(words) > 1 else words[0]
