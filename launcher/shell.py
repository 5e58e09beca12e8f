"""The command `completion`: what a shell needs to complete thaw's commands, options and runs."""

import click
from click.shell_completion import get_completion_class

PLACES = {
    "bash": "thaw completion bash > ~/.local/share/bash-completion/completions/thaw",
    "zsh": "thaw completion zsh > ~/.zfunc/_thaw  (with ~/.zfunc in fpath)",
    "fish": "thaw completion fish > ~/.config/fish/completions/thaw.fish",
}


@click.command(epilog="Put it in place with: " + "; ".join(PLACES.values()))
@click.argument("shell", type=click.Choice([*PLACES]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the completion script for bash, zsh or fish."""
    found = get_completion_class(shell)
    assert found is not None
    click.echo(found(ctx.find_root().command, {}, "thaw", "_THAW_COMPLETE").source())


COMMANDS = {"completion": completion}
