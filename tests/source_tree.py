"""The files of the repository, read and parsed once; what must hold of them stands in the tests."""

import ast
from dataclasses import dataclass
from functools import cache, cached_property
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

    @cached_property
    def nodes(self) -> list[ast.AST]:
        """Give every node of the tree."""
        return [*ast.walk(self.tree)]

    def functions(self) -> list[Function]:
        """Give every function and method, nested ones included."""
        return [node for node in self.nodes if isinstance(node, Function)]

    def classes(self) -> list[ast.ClassDef]:
        """Give every class."""
        return [node for node in self.nodes if isinstance(node, ast.ClassDef)]

    def calls(self) -> list[tuple[int, str]]:
        """Give line and name of every call, such as (12, "sys.stdout.write")."""
        calls = (node for node in self.nodes if isinstance(node, ast.Call))
        return [(call.lineno, ast.unparse(call.func)) for call in calls]

    def imports(self) -> list[tuple[int, str]]:
        """Give line and dotted name of every import, those inside functions included."""
        found = []
        for node in self.nodes:
            if isinstance(node, ast.Import):
                found += [(node.lineno, alias.name) for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{self.path}:{node.lineno} imports relatively"
                found.append((node.lineno, node.module or ""))
        return found


@cache
def files() -> tuple[Path, ...]:
    """Give every file of the repository, relative to the root; nothing that is built or cached.

    In a linked worktree `.git` is a file.
    """
    inside = (path for folder in FOLDERS for path in (ROOT / folder).rglob("*"))
    candidates = [
        path for path in (*inside, *ROOT.iterdir()) if path.is_file() and path.name != ".git"
    ]
    relative = (path.relative_to(ROOT) for path in candidates)
    return tuple(sorted(path for path in relative if "__pycache__" not in path.parts))


def sources(*rooms: str) -> tuple[Source, ...]:
    """Give the parsed Python files of the rooms; of all folders where none is named."""
    return tuple(s for s in _all_sources() if not rooms or s.room in rooms)


@cache
def _all_sources() -> tuple[Source, ...]:
    texts = {
        path.as_posix(): (ROOT / path).read_text(encoding="utf-8")
        for path in files()
        if path.suffix == ".py"
    }
    return tuple(Source(path, text, ast.parse(text)) for path, text in texts.items())


def num_lines(node: ast.AST) -> int:
    """Count the lines of a function or class, docstring included."""
    assert isinstance(node, Function | ast.ClassDef)
    assert node.end_lineno is not None
    return node.end_lineno - node.lineno + 1
