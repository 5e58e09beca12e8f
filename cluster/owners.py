"""Say who a person is to the others who use the same storage; who may do what, the client asks."""

import os
import pwd
import re

from configs.errors import LockedError, RecipeError

VARIABLE = "THAW_USER"
NAME = re.compile(r"[\w.@+-]{1,64}")


def own_name() -> str:
    """Return the name under which this person's runs are known.

    It is THAW_USER, or the name that the system has for this process's user: no variable such as
    LOGNAME, which anything may have set. Raises RecipeError for a THAW_USER that is no name.
    """
    asked = os.environ.get(VARIABLE, "").strip()
    if asked and not NAME.fullmatch(asked):
        raise RecipeError(
            f"{VARIABLE} is {asked[:80]!r}, which is no name. Use letters, digits, and any of . @ "
            "+ - _, at most 64"
        )
    if asked:
        return asked
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # as in containers that run under any number
        return f"uid-{os.getuid()}"


def refuse_others(run: str, owner: str, verb: str, *, force: bool) -> None:
    """Raise LockedError for a run of somebody else, unless forced; one of nobody is everybody's."""
    mine = own_name()
    if owner and owner != mine and not force:
        raise LockedError(
            f"Run {run} is {owner}'s, and you are {mine}. Ask {owner} to {verb} it, or do it with "
            "--force"
        )
