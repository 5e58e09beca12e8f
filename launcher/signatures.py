"""Make prompts and answers from installed packages: a function's signature, what it does.

Source files are parsed, never imported.
"""

import ast
import importlib.util
import json
import warnings
from collections.abc import Iterator
from pathlib import Path

from launcher.docstrings import installed_versions, source_files

FILE = "signatures.jsonl"
ROWS_PER_PACKAGE = 700
CHARACTERS = (20, 120)
"""Least and most of a signature and of an answer."""
Function = ast.FunctionDef | ast.AsyncFunctionDef


def write_signatures(folder: Path, rows_per_package: int = ROWS_PER_PACKAGE) -> Path:
    """Write the rows as JSON lines with columns prompt and completion, unless they are there."""
    path = folder / FILE
    if path.exists():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    rows: dict[str, str] = {}
    for package in installed_versions():
        rows |= package_rows(package, rows_per_package)
    lines = (json.dumps({"prompt": asked, "completion": told}) for asked, told in rows.items())
    part = path.with_suffix(".part")
    part.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    part.rename(path)
    return path


def package_rows(package: str, most: int) -> dict[str, str]:
    """Give up to `most` signatures of a package, each with the first line of its docstring."""
    spec = importlib.util.find_spec(package)
    assert spec is not None and spec.submodule_search_locations
    rows: dict[str, str] = {}
    for path in source_files(Path(spec.submodule_search_locations[0])):
        for asked, told in pairs_of(path):
            rows.setdefault(asked, told)
            if len(rows) >= most:
                return rows
    return rows


def pairs_of(path: Path) -> Iterator[tuple[str, str]]:
    """Yield signature and first line of the docstring of a Python file's public functions."""
    if path.suffix != ".py":
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what the parser thinks of other people's code
        try:
            tree = ast.parse(path.read_bytes())
        except (SyntaxError, ValueError):
            return
    for node in ast.walk(tree):
        if not isinstance(node, Function) or node.name.startswith("_"):
            continue
        asked, told = signature(node), first_line(node)
        if _is_usable(asked) and _is_usable(told):
            yield asked, told


def signature(node: Function) -> str:
    """Write a function's name, parameters and result on one line."""
    result = f" -> {ast.unparse(node.returns)}" if node.returns is not None else ""
    return f"def {node.name}({ast.unparse(node.args)}){result}:"


def first_line(node: Function) -> str:
    """Give the first line of a function's docstring, empty without one."""
    lines = (ast.get_docstring(node) or "").strip().splitlines()
    return lines[0].strip() if lines else ""


def _is_usable(text: str) -> bool:
    return CHARACTERS[0] <= len(text) <= CHARACTERS[1] and text.isascii()
