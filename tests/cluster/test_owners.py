"""Whose run it is."""

import os
import pwd

import pytest

from cluster.owners import own_name, refuse_others
from configs.errors import LockedError, RecipeError


def test_the_name_is_the_systems_or_the_one_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("THAW_USER", raising=False)
    for variable in ("LOGNAME", "USER", "USERNAME"):
        monkeypatch.setenv(variable, "somebody-else")
    assert own_name() == pwd.getpwuid(os.getuid()).pw_name
    monkeypatch.setenv("THAW_USER", " ada@lab ")
    assert own_name() == "ada@lab"
    for name in ("a b", "\x1b[31mred", "x" * 65, "a\nb"):
        monkeypatch.setenv("THAW_USER", name)
        with pytest.raises(RecipeError, match=r"THAW_USER is .* no name"):
            own_name()


def test_a_run_of_somebody_else_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THAW_USER", "ada")
    for owner in ("", "ada"):
        refuse_others("one", owner, "stop", force=False)
    with pytest.raises(LockedError, match=r"Run one is bob's, and you are ada.*--force"):
        refuse_others("one", "bob", "stop", force=False)
    refuse_others("one", "bob", "stop", force=True)
