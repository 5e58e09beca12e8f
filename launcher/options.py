"""Options and arguments that several commands share; what they do stands with the commands."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import CompletionItem

if TYPE_CHECKING:
    from launcher.client import Thaw

Command = TypeVar("Command", bound=Callable[..., Any])


def complete_run(ctx: click.Context, param: click.Parameter, start: str) -> list[CompletionItem]:
    """Complete the names of runs that were submitted from here."""
    from cluster.auth import thaw_home

    names = sorted(path.stem for path in (thaw_home() / "runs").glob("*.json"))
    return [CompletionItem(name) for name in names if name.startswith(start)]


def checked_run(ctx: click.Context, param: click.Parameter, value: Any) -> Any:
    """Refuse what is not the name of a run before anything is looked up under it."""
    from configs.names import check_run_name

    for name in (value,) if isinstance(value, str) else value:
        check_run_name(name)
    return value


def checked_recipe(ctx: click.Context, param: click.Parameter, value: str | None) -> Path | None:
    """Refuse what is not the path of a file before it is made into one."""
    from configs.load import recipe_path

    return recipe_path(value) if value is not None else None


RECIPE = click.argument("recipe", type=click.Path(), callback=checked_recipe)
RUN = click.argument("run", shell_complete=complete_run, callback=checked_run)
OVERRIDES = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Override a value of the recipe, such as --set epochs=1 or --set zero.stage=2.",
)
JSON = click.option(
    "-o",
    "--output",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="Print for people or as JSON, one object a line.",
)
FORCE = click.option("--force", is_flag=True, help="Also a run of somebody else.")
DETACH = click.option("--detach", is_flag=True, help="Return as soon as the job is submitted.")
ADDRESS = click.option(
    "--address",
    metavar="URL",
    help="Ray dashboard, http://host:8265. Else the recipe, the run, THAW_ADDRESS, "
    "RAY_API_SERVER_ADDRESS, or the cluster of `thaw cluster up`.",
)
STORAGE = click.option(
    "--storage",
    metavar="FOLDER",
    help="Where runs live. Else the recipe's storage, where the run was submitted to, or ./runs.",
)


def open_client(
    ctx: click.Context, address: str | None = None, storage: str | None = None
) -> "Thaw":
    """Give the client that carries out a command."""
    from launcher.client import Thaw

    given = ctx.find_root().obj
    if not isinstance(given, Thaw):
        return Thaw(address, storage, confirm=ask)
    return Thaw(
        address or given.where.address,
        storage if storage is not None else given.where.storage,
        backend=given.backend,
        confirm=given.where.confirm,
    )


def ask(question: str) -> bool:
    """Ask a person who sits at a terminal; no is the default, and what others are taken to say."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    return click.confirm(question, default=False, err=True)


def agreed(question: str) -> bool:
    """Ask before something is deleted; raises UsageError where the input ends without an answer."""
    try:
        return click.confirm(question, err=True)
    except click.Abort as abort:
        if isinstance(abort.__context__, EOFError):
            raise click.UsageError(
                f"{question} Nobody answers, so nothing is deleted. Say --yes"
            ) from abort
        raise
