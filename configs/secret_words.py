"""Tell secrets from other text, so that none gets into a recipe; cluster/secrets.py finds values.

What is known by its look: tokens of common services, private keys, passwords inside of URLs.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
SECRET_NAME = re.compile(
    r"(^|_)(TOKEN|SECRETS?|PASSPHRASE|CREDENTIALS?|KEY|PRIVATE)(_|$)"
    r"|PASSWORD|PASSWD|APIKEY|SECRETKEY|AUTHTOKEN|_PWD$",
    re.IGNORECASE,
)
PLACE_NAME = re.compile(r"_(PATH|FILE|DIR|HOME|URL|ENDPOINT|NAME)$", re.IGNORECASE)
"""Endings of variables that say where a secret lies, not what it is."""
SECRET_VALUE = re.compile(
    r"\bhf_[A-Za-z0-9]{16,}"
    r"|\b(AKIA|ASIA)[A-Z0-9]{12,}"
    r"|-----BEGIN [A-Z0-9 ]*(PRIVATE KEY|MESSAGE)[\s\S]*?(-----END[A-Z0-9 ]*-----|\Z)"
    r"|\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(\.[A-Za-z0-9_-]*)?"
    r"|\b(gh[oprsu]|github_pat|glpat|xox[abeprs]|sk|rk)[_-][A-Za-z0-9_-]{16,}"
    r"|\bAIza[A-Za-z0-9_-]{30,}"
    r"|(?<=://)[^/\s:@]*:(?!\$\{\w+\}@)[^/\s@]+(?=@)"
)
HIDDEN = "***"

Path = tuple[str | int, ...]


def names_a_secret(name: str) -> bool:
    """Say whether a variable is called as secrets are: HF_TOKEN, AWS_SECRET_ACCESS_KEY."""
    return bool(SECRET_NAME.search(name)) and not PLACE_NAME.search(name)


def holds_a_secret(text: str) -> bool:
    """Say whether text looks like a secret, or has one in it."""
    return SECRET_VALUE.search(text) is not None


def without_secrets(text: str) -> str:
    """Give text with stars for what looks like a secret."""
    return SECRET_VALUE.sub(HIDDEN, text)


def checked_env(env: Any) -> Any:
    """Give variables as they are; raises ValueError, one sentence each, for those with secrets."""
    if not isinstance(env, Mapping):
        return env
    problems = [
        f"{name} looks like a secret, and the cluster shows env to everybody. Take it out, name it "
        f"in cluster.secrets, and set it on the machines"
        for name, value in env.items()
        if names_a_secret(str(name)) or holds_a_secret(str(value))
    ]
    problems += [
        f"{without_secrets(str(name))!r} is not the name of a variable. Use letters, digits and _"
        for name in env
        if not VARIABLE_NAME.fullmatch(str(name))
    ]
    if problems:
        raise ValueError("; ".join(problems))
    return env


def checked_names(names: Any) -> Any:
    """Give names of secrets as they are; raises ValueError for what may be a value of one."""
    if not isinstance(names, list | tuple):
        raise ValueError("must be a list of names such as [HF_TOKEN], and no values")
    for number, name in enumerate(names, 1):
        is_name = isinstance(name, str) and VARIABLE_NAME.fullmatch(name)
        if not is_name or holds_a_secret(name):
            raise ValueError(
                f"entry {number} is not the name of a variable. Give names such as HF_TOKEN here, "
                "and their values on the machines"
            )
        if name.startswith(("RAY_", "THAW_")) or name in ("PATH", "PYTHONPATH", "HOME"):
            raise ValueError(f"{name} is set by Ray or by Thaw itself. Leave it out")
        if name in names[: number - 1]:
            raise ValueError(f"{name} is named twice. Keep one")
    return names


def find_plain_secrets(value: Any, path: Path = ()) -> Iterator[Path]:
    """Yield the path of every text in nested values that looks like a secret."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from find_plain_secrets(inner, (*path, str(key)))
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from find_plain_secrets(inner, (*path, index))
    elif isinstance(value, str) and holds_a_secret(value):
        yield path
