"""Look at the folder of a person's own code before it is shipped; Ray unpacks it on every node.

Nothing of it is imported here: the machine that submits may have no torch.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

from cluster.hiding import hidden_libraries
from cluster.shipping import OWN_LIST, Shipment, survey
from configs.errors import RecipeError
from configs.import_paths import split_import_path
from configs.schema import Recipe

OURS = ("configs", "launcher", "cluster", "trainers")


def check_working_dir(recipe: Recipe) -> tuple[str, ...]:
    """Look for all code that the recipe names; gives the modules that are not in the folder.

    Those must be installed on every node. Raises RecipeError for a folder that is not there, hides
    a package of Thaw or cannot be shipped, and for a module without the name or left out.
    """
    folder = recipe.cluster.working_dir
    shipment = None
    if folder is not None:
        _check_folder(Path(folder))
        shipment = survey(Path(folder))
    elsewhere: dict[str, None] = {}
    for key, paths in recipe.own_code.items():
        for path in paths:
            module, name = split_import_path(path)
            file = _file_of(Path(folder), module) if folder is not None else None
            if file is None:
                elsewhere[module] = None
            elif name not in (defined := [*_defined(key, file)]) and "*" not in defined:
                raise RecipeError(
                    f"{key} ({path}): {file} has no {name}; it has {', '.join(defined) or 'none'}. "
                    "Name one of them"
                )
            elif shipment is not None:
                _refuse_left_out(f"{key} ({path})", shipment, file)
    return tuple(elsewhere)


def _check_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise RecipeError(
            f"cluster.working_dir ({folder}) is no folder of this machine. Correct the path; "
            "relative ones start at the recipe's folder"
        )
    hiding = [name for name in OURS if _file_of(folder, name) or (folder / name).is_dir()]
    if hiding:
        raise RecipeError(
            f"cluster.working_dir ({folder}) holds {', '.join(hiding)}, which would hide a package "
            "of Thaw. Put your code into a folder of its own"
        )
    if libraries := hidden_libraries(folder):
        raise RecipeError(
            f"cluster.working_dir ({folder}) holds {', '.join(libraries)}, which would be imported "
            "in place of the library of that name. Rename it"
        )


def _refuse_left_out(asked: str, shipment: Shipment, file: Path) -> None:
    """Raise RecipeError where a module, or one of the folder that it imports, stays here."""
    seen, waiting = set(), [file]
    while waiting:
        needed = waiting.pop()
        name = needed.relative_to(shipment.folder).as_posix()
        if (reason := shipment.why_left_out(name)) is not None:
            raise RecipeError(
                f"{asked} needs {name}, which is left out of what is shipped ({reason}). Write "
                f"!{name} into {shipment.folder / OWN_LIST}, or call it something else"
            )
        for module in _imported(needed, needed.parent.relative_to(shipment.folder).parts):
            found = _file_of(shipment.folder, module)
            if found is not None and found not in seen:
                seen.add(found)
                waiting.append(found)


def _imported(file: Path, package: tuple[str, ...]) -> Iterator[str]:
    """Yield the modules that a file may import, those in a `try` left aside: it can do without."""
    try:
        waiting: list[ast.AST] = [ast.parse(file.read_bytes())]
    except (SyntaxError, ValueError):
        return  # it is said where it is imported
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join((*above, *([node.module] if node.module else [])))
            yield from ([base] if base else [])
            yield from (".".join(filter(None, (base, alias.name))) for alias in node.names)
        elif not isinstance(node, ast.Try):
            waiting += ast.iter_child_nodes(node)


def _file_of(folder: Path, module: str) -> Path | None:
    """Find the file of a module below a folder."""
    place = folder.joinpath(*module.split("."))
    candidates = (place.with_name(f"{place.name}.py"), place / "__init__.py")
    return next((file for file in candidates if file.is_file()), None)


def _defined(key: str, file: Path) -> Iterator[str]:
    """Yield the names that a module gives at its top level; `*` for those of another one."""
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError) as error:
        raise RecipeError(f"{key}: {file} is not Python: {error}. Mend it") from error
    for node in _top_level(tree.body):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Import | ast.ImportFrom):
            yield from (alias.asname or alias.name for alias in node.names)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from (target.id for target in targets if isinstance(target, ast.Name))


def _top_level(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield statements, those under an `if` or a `try` too."""
    for node in body:
        yield node
        if isinstance(node, ast.If):
            yield from _top_level([*node.body, *node.orelse])
        elif isinstance(node, ast.Try):
            handled = [inner for handler in node.handlers for inner in handler.body]
            yield from _top_level([*node.body, *handled, *node.orelse])
