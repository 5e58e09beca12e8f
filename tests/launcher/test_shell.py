"""Completion of commands and runs."""

import pytest

from launcher.cli import cli, run
from launcher.options import complete_run


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_asks_thaw_for_words(shell, capsys):
    assert run(["completion", shell]) == 0
    assert "_THAW_COMPLETE" in capsys.readouterr().out


def test_runs_are_completed_from_what_was_submitted_here(tmp_path):
    runs = tmp_path / "home" / "runs"
    runs.mkdir(parents=True)
    for name in ("banking", "bert", "other"):
        (runs / f"{name}.json").write_text("{}")
    command = cli.get_command(None, "watch")
    items = complete_run(command.make_context("watch", ["x"]), command.params[0], "b")
    assert [item.value for item in items] == ["banking", "bert"]
