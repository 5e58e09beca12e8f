"""The command `thaw`: finds commands, runs one, turns what it raises into an exit code.

What a command does stands in the module of its group, which is imported when it is asked for.
"""

import importlib
import io
import os
import shutil
import sys
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import click

from configs.errors import INTERRUPTED, THAW_ERRORS, StorageError
from configs.outside_text import visible
from configs.secret_words import HIDDEN, names_a_secret, without_secrets

if TYPE_CHECKING:
    from launcher.client import Thaw

SHORTEST_SECRET = 8
COMMANDS = {
    "check": "launcher.recipes",
    "verify": "launcher.recipes",
    "prepare": "launcher.recipes",
    "submit": "launcher.lifecycle",
    "list": "launcher.inspection",
    "status": "launcher.inspection",
    "describe": "launcher.inspection",
    "why": "launcher.why",
    "logs": "launcher.inspection",
    "watch": "launcher.lifecycle",
    "metrics": "launcher.inspection",
    "stop": "launcher.lifecycle",
    "resume": "launcher.lifecycle",
    "delete": "launcher.deletion",
    "evaluate": "launcher.models",
    "predict": "launcher.models",
    "export": "launcher.models",
    "checkpoints": "launcher.checkpoints",
    "data": "launcher.data_sets",
    "tensorboard": "launcher.boards",
    "cluster": "launcher.machines",
    "doctor": "launcher.doctor",
    "schema": "launcher.recipes",
    "demo": "launcher.demonstration",
    "completion": "launcher.shell",
}


class LazyGroup(click.Group):
    """A group that imports the module of a command when the command is needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Give the names in the order in which people meet them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(COMMANDS[cmd_name])
        command: click.Command = module.COMMANDS[cmd_name]
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a command, or say which one is nearest."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            import difflib

            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            if not near:
                raise
            raise click.UsageError(
                f"No such command '{args[0]}'. Did you mean {near[0]}?", ctx
            ) from error


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.version_option(package_name="thaw", message="thaw %(version)s")
def cli(debug: bool) -> None:
    """Fine-tune pre-trained models with labelled data on a Ray cluster.

    Start with `thaw demo`, or write a recipe and `thaw submit recipe.yaml`.
    """


def main() -> None:
    """Run the command line of this process."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str], client: "Thaw | None" = None) -> int:
    """Run one command line and give its exit code; an error is a sentence on standard error."""
    debug = "--debug" in arguments or bool(os.environ.get("THAW_DEBUG"))
    words = [word for word in arguments if word != "--debug"]
    try:
        with _token_warnings():
            result = cli.main(words, prog_name="thaw", standalone_mode=False, obj=client)
        _flush()
        return result if isinstance(result, int) else 0
    except click.ClickException as error:
        told = io.StringIO()
        error.show(told)
        click.echo(visible(told.getvalue()), nl=False, err=True)
        if isinstance(error, click.UsageError) and error.ctx is None:
            click.echo("Try 'thaw --help' for help.", err=True)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except BrokenPipeError:
        _drop_output()
        return 0
    except THAW_ERRORS as error:
        _say(str(error), debug)
        return error.exit_code
    except Exception as error:
        return _unexpected(error, debug)


def _unexpected(error: Exception, debug: bool) -> int:
    """Say an error that no command expects, unless what the shell gave us is full or gone."""
    if isinstance(error, FileNotFoundError) and _is_working_folder_gone():
        _say("The folder that this shell is in was deleted. Go to another with cd", debug)
        return StorageError.exit_code
    if isinstance(error, OSError) and _is_of_printing(error):
        _drop_output()
        why = error.strerror or str(error)
        _say(f"The output could not be written: {why}. Send it to another place", debug)
        return StorageError.exit_code
    sentence = " ".join(f"{type(error).__name__}: {error}".split())
    where = "--debug shows where" if debug else _note_traceback()
    _say(f"thaw met an error that it did not expect: {sentence}. {where}", debug)
    return 1


def _is_working_folder_gone() -> bool:
    try:
        os.getcwd()
    except FileNotFoundError:
        return True
    return False


def _is_of_printing(error: OSError) -> bool:
    """Whether an error comes from a library that prints for us, not from a file of a command."""
    *_, (last, _line) = traceback.walk_tb(error.__traceback__)
    printer = str(last.f_globals.get("__name__", ""))
    return last.f_code is _flush.__code__ or printer.split(".")[0] in ("rich", "click")


def _flush() -> None:
    """Write what is left of our output; a closed one is None."""
    if sys.stdout is not None:
        sys.stdout.flush()


def _drop_output() -> None:
    """Throw away what is left of our output: its reader is gone (`thaw list | head`), or full."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def _token_warnings() -> Iterator[None]:
    """Show a warning about a token in the clear as a line of ours, once a command."""
    from cluster.auth import PlainTokenWarning

    said: set[str] = set()
    others = warnings.showwarning

    def show(message: Any, category: type[Warning], *where: Any, **more: Any) -> None:
        if not issubclass(category, PlainTokenWarning):
            others(message, category, *where, **more)
        elif str(message) not in said:
            said.add(str(message))
            _tell("warning", "yellow", [visible(str(message))])

    with warnings.catch_warnings():
        warnings.simplefilter("always", PlainTokenWarning)
        warnings.showwarning = show
        yield


def _say(message: str, debug: bool) -> None:
    if debug:
        traceback.print_exc()
    _tell("error", "red", visible(message).splitlines())


def _tell(label: str, shade: str, sentences: Sequence[str]) -> None:
    """Say sentences on standard error, broken between words to the width of a terminal."""
    from launcher.messages import LABEL_WIDTH, Line

    if sys.stderr is None:
        return
    width = shutil.get_terminal_size().columns if sys.stderr.isatty() else None
    with suppress(OSError):  # The exit code still says what came of the command.
        for sentence in sentences:
            first, *others = Line(label, (sentence,)).rows(width)
            _label(first[:LABEL_WIDTH], shade)
            click.echo("\n".join([first[LABEL_WIDTH:], *others]), err=True)


def _label(word: str, shade: str) -> None:
    color = False if os.environ.get("NO_COLOR") else None  # None asks the terminal
    click.secho(word, nl=False, err=True, color=color, fg=shade, bold=True)


def _note_traceback() -> str:
    """Keep the traceback of an unexpected error where it can be looked up; say where."""
    from cluster.auth import write_own

    text = without_secrets(traceback.format_exc())
    for name, value in os.environ.items():
        if names_a_secret(name) and len(value) >= SHORTEST_SECRET:
            text = text.replace(value, HIDDEN)
    try:
        path = write_own("last_error.txt", text.encode(errors="backslashreplace"))
    except StorageError:
        return "See where with --debug"
    return f"See {path}, or use --debug"
