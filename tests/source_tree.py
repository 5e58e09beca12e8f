"""The files of the repository, read and parsed once; what must hold of them stands in the tests."""

import ast
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent
ROOMS = ("launcher", "cluster", "trainers", "configs")
FOLDERS = (*ROOMS, "tests", "benchmarks", ".ci")

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Source:
    """One Python file."""

    path: str
    """Relative to the root, with slashes."""
    text: str
    tree: ast.Module

    @property
    def room(self) -> str:
        """First folder of the path."""
        return self.path.split("/")[0]

    @property
    def stem(self) -> str:
        """File name without folder and ending."""
        return Path(self.path).stem

    def functions(self) -> list[Function]:
        """Give every function and method, nested ones included."""
        return [node for node in ast.walk(self.tree) if isinstance(node, Function)]

    def classes(self) -> list[ast.ClassDef]:
        """Give every class."""
        return [node for node in ast.walk(self.tree) if isinstance(node, ast.ClassDef)]

    def calls(self) -> list[tuple[int, str]]:
        """Give line and name of every call, such as (12, "sys.stdout.write")."""
        calls = (node for node in ast.walk(self.tree) if isinstance(node, ast.Call))
        return [(call.lineno, ast.unparse(call.func)) for call in calls]

    def imports(self) -> list[tuple[int, str]]:
        """Give line and dotted name of every import, those inside functions included."""
        found = []
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                found += [(node.lineno, alias.name) for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{self.path}:{node.lineno} imports relatively"
                found.append((node.lineno, node.module or ""))
        return found


@cache
def files() -> tuple[Path, ...]:
    """Give every file of the repository, relative to the root; nothing that is built or cached."""
    inside = (path for folder in FOLDERS for path in (ROOT / folder).rglob("*"))
    candidates = [path for path in (*inside, *ROOT.iterdir()) if path.is_file()]
    relative = (path.relative_to(ROOT) for path in candidates)
    return tuple(sorted(path for path in relative if "__pycache__" not in path.parts))


@cache
def sources(*rooms: str) -> tuple[Source, ...]:
    """Give the parsed Python files of the rooms; of all folders where none is named."""
    found = []
    for path in files():
        if path.suffix == ".py" and (not rooms or path.parts[0] in rooms):
            text = (ROOT / path).read_text(encoding="utf-8")
            found.append(Source(path.as_posix(), text, ast.parse(text)))
    return tuple(found)


def num_lines(node: ast.AST) -> int:
    """Count the lines of a function or class, docstring included."""
    assert isinstance(node, Function | ast.ClassDef)
    assert node.end_lineno is not None
    return node.end_lineno - node.lineno + 1
