"""The parts of README.md that the code decides; `python -m tests.readme_blocks` writes them."""

import ast
import re
from collections.abc import Callable, Iterator
from typing import get_args

import click
from pydantic import BaseModel

from configs.errors import INTERRUPTED, STOPPED, THAW_ERRORS
from configs.schema import Recipe
from launcher.cli import cli
from tests.source_tree import ROOMS, ROOT, sources
from trainers.tracking import TAGS

README = ROOT / "README.md"
OTHER_FILES = {
    "Makefile": "demo, test, lint",
    "LICENSE": "Apache-2.0",
    "pyproject.toml": "dependencies, extras, settings of the tools",
    "constraints.txt": "the exact versions that everything here was tested with",
    ".ci/run": "what every change must pass",
    "configs/recipes/*.yaml": "recipes to start from",
    "benchmarks/README.md": "how they are run and what was found",
    "tests/": "the same tree again, a test file for each source file",
}


def commands() -> str:
    """Give the table of commands, in the order of `thaw --help`."""
    rows = [f"| `thaw {usage}` | {what} |" for usage, what in _usages(cli, ())]
    return "\n".join(["| command | what it does |", "|---|---|", *rows])


def exit_codes() -> str:
    """Give the table of exit codes."""
    meanings = {0: "All went well.", INTERRUPTED: "Interrupted with Ctrl-C; a run goes on."}
    meanings[STOPPED] = "The run was stopped; `thaw resume` goes on."
    meanings |= {error.exit_code: _sentence(error.__doc__) for error in THAW_ERRORS}
    rows = [f"| {code} | {meanings[code]} |" for code in sorted(meanings)]
    return "\n".join(["| code | meaning |", "|---|---|", *rows])


def sections() -> str:
    """Give the table of the recipe's sections with their fields."""
    single, rows = [], []
    for name, field in Recipe.model_fields.items():
        found = _sections(field.annotation)
        if not found:
            single.append(f"`{name}`")
        for section in found:
            shown = f"`{name}`"
            fields = list(section.model_fields)
            if len(found) > 1:  # one of several, told apart by their kind
                shown += f", `kind: {get_args(section.model_fields['kind'].annotation)[0]}`"
                fields.remove("kind")
            named = ", ".join(f"`{inner}`" for inner in fields)
            rows.append(f"| {shown} | {_sentence(section.__doc__)} | {named} |")
    rows.append(f"| (no section) | Of the run as a whole. | {', '.join(single)} |")
    return "\n".join(["| section | what it says | keys |", "|---|---|---|", *rows])


def tags() -> str:
    """Give the table of TensorBoard tags."""
    rows = [f"| `{tag}` | {what} |" for tag, what in TAGS.items()]
    return "\n".join(["| tag | what it shows |", "|---|---|", *rows])


def tree() -> str:
    """Give every file with the first words of its docstring."""
    glosses = {source.path: _gloss(source.tree) for source in sources(*ROOMS, "benchmarks")}
    glosses |= OTHER_FILES
    folders = (*ROOMS, "benchmarks")
    shown = {path: _shown(path) for path in glosses if path.split("/")[0] in folders}
    width = max(map(len, shown.values())) + 2
    lines = []
    for folder in folders:
        inside = sorted((path for path in shown if path.startswith(f"{folder}/")), key=_order)
        lines += [f"{shown[path]:<{width}}{glosses[path]}" for path in inside]
    lines += [f"{path:<{width}}{what}" for path, what in OTHER_FILES.items() if path not in shown]
    return "\n".join(["```", *lines, "```"])


def own_code() -> tuple[str, str]:
    """Give the example of a person's own code, and the recipe that names it, as they are shown."""
    section = README.read_text().split("**Your own code.**")[1].split("\n**")[0]
    code, recipe = re.findall(r"^```\w*\n(.*?)^```$", section, re.S | re.M)
    return code, recipe


BLOCKS: dict[str, Callable[[], str]] = {
    "commands": commands,
    "exit codes": exit_codes,
    "sections": sections,
    "tags": tags,
    "tree": tree,
}


def block_pattern(name: str) -> re.Pattern[str]:
    """Give the pattern that finds a block, with its last line break, between its two comments."""
    start = f"<!-- {name}, written by tests/readme_blocks.py -->\n"
    return re.compile(f"(?<={start}).*?(?=<!-- end -->)", re.S)


def _usages(group: click.Group, above: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from _usages(command, (*above, name))
            continue
        pieces = command.collect_usage_pieces(click.Context(command))
        words = [piece for piece in pieces if piece != "[OPTIONS]"]
        what = " ".join((command.help or "").split("\n\n")[0].split())
        yield " ".join([*above, name, *words]).replace("|", "\\|"), what


def _sentence(docstring: str | None) -> str:
    assert docstring is not None
    return docstring.split("\n\n")[0].replace("\n", " ").strip()


def _sections(annotation: object) -> list[type[BaseModel]]:
    candidates = [annotation, *get_args(annotation)]
    return [c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)]


def _gloss(module: ast.Module) -> str:
    sentence = _sentence(ast.get_docstring(module)).rstrip(".")
    return sentence.split(";")[0][:1].lower() + sentence.split(";")[0][1:]


def _shown(path: str) -> str:
    """Give what the tree shows of a path: a folder stands for its __init__.py."""
    folder, _, inside = path.partition("/")
    if inside == "__init__.py":
        return f"{folder}/"
    return f"  {inside.removesuffix('__init__.py')}"


def _order(path: str) -> tuple[str, ...]:
    """Files of a folder before the folders in it."""
    *folders, name = path.split("/")
    return (*folders, "" if name == "__init__.py" else f" {name}")


def main() -> None:
    """Write every block into README.md."""
    text = README.read_text()
    for name, build in BLOCKS.items():
        written = f"{build()}\n"
        text, count = block_pattern(name).subn(lambda _, new=written: new, text, count=1)
        assert count, f"README.md has no block named {name}"
    README.write_text(text)


if __name__ == "__main__":
    main()
