"""Look at files as another person of this machine would: with another user id and no rights."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

LOOK = """
import json, os, pwd, sys
asked = sys.stdin.read()
nobody = pwd.getpwnam("nobody")
os.setgroups([])
os.setgid(nobody.pw_gid)
os.setuid(nobody.pw_uid)
found = []
for path in json.loads(asked):
    is_link = os.path.islink(path)
    for way, wanted in (("reads", os.R_OK), ("writes", os.W_OK)):
        if not is_link and os.access(path, wanted):
            found.append(f"{way} {path}")
    try:
        os.rename(path, path + ".theirs")
        found.append(f"replaces {path}")
    except OSError:
        pass
print(json.dumps(found))
"""


def what_others_can_do(paths: list[Path]) -> list[str]:
    """Return what another person can read, write or replace of these; skips where we are no root.

    Paths below folders that others cannot enter are looked at by their full names all the same.
    """
    if os.getuid() != 0:
        pytest.skip("NOT TESTED: only root can become another person to try the doors")
    asked = subprocess.run(
        [sys.executable, "-I", "-S", "-c", LOOK],
        input=json.dumps([str(path) for path in paths]),
        capture_output=True,
        text=True,
        cwd="/",
        check=True,
        timeout=60,
    )
    found: list[str] = json.loads(asked.stdout)
    return found


def all_below(folder: Path) -> list[Path]:
    """Return a folder and all that is in it."""
    return [folder, *folder.rglob("*")]
