"""Make labelled rows from the docstrings of installed packages; the demo learns from them.

Source files are parsed, never imported. The rows depend on the packages' versions alone.
"""

import ast
import hashlib
import importlib.metadata
import importlib.util
import inspect
import json
import re
import warnings
from collections.abc import Iterator
from pathlib import Path

# Import name, distribution, and other words that give the package away.
PACKAGES: dict[str, tuple[str, tuple[str, ...]]] = {
    "torch": ("torch", ("pytorch", "aten", "caffe2")),
    "transformers": ("transformers", ("hugging face", "huggingface")),
    "pyarrow": ("pyarrow", ("apache arrow", "arrow", "pa")),
    "ray": ("ray", ("rllib",)),
    "deepspeed": ("deepspeed", ("ds",)),
    "numpy": ("numpy", ("np", "ndarray", "ndarrays")),
    "scipy": ("scipy", ()),
    "sklearn": ("scikit-learn", ("scikit", "learn")),
    "pandas": ("pandas", ("pd",)),
    "matplotlib": ("matplotlib", ("mpl", "pyplot", "plt")),
    "sympy": ("sympy", ()),
    "networkx": ("networkx", ("nx",)),
}
CYTHON = (".pyx", ".pxi")
DEFINITION = re.compile(
    r"^ *(?:def|cpdef|class|cdef class) +[A-Za-z][^\"#]*?: *\n\s*\"\"\"(.*?)\"\"\"", re.M | re.S
)
ROWS_PER_PACKAGE = 320
FEWEST_ROWS = 100
MAX_FILE_BYTES = 200_000
WORDS = (5, 60)
SKIPPED_FOLDERS = {"test", "tests", "testing", "_testing", "conftest", "vendored", "externals"}


def write_docstrings(folder: Path) -> Path:
    """Write the rows as JSON lines with the columns text and label, once per set of versions."""
    versions = installed_versions()
    settings = json.dumps([versions, ROWS_PER_PACKAGE, WORDS])
    key = hashlib.sha256(settings.encode()).hexdigest()[:8]
    path = folder / f"docstrings-{key}.jsonl"
    if path.exists():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    rows = [
        {"text": text, "label": package} for package in versions for text in package_texts(package)
    ]
    part = path.with_suffix(".part")
    part.write_text("".join(f"{json.dumps(row)}\n" for row in distinct(rows)), encoding="utf-8")
    part.rename(path)
    return path


def installed_versions() -> dict[str, str]:
    """Give the version of each package of the list that is installed, in the list's order."""
    versions = {}
    for package, (distribution, _) in PACKAGES.items():
        try:
            versions[package] = importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def package_texts(package: str) -> list[str]:
    """Give up to ROWS_PER_PACKAGE texts of a package, none where it has too few."""
    spec = importlib.util.find_spec(package)
    assert spec is not None and spec.submodule_search_locations
    root = Path(spec.submodule_search_locations[0])
    texts: dict[str, None] = {}
    for path in source_files(root):
        for docstring in docstrings_of(path):
            if text := cleaned(docstring, package):
                texts[text] = None
        if len(texts) >= ROWS_PER_PACKAGE:
            break
    return list(texts)[:ROWS_PER_PACKAGE] if len(texts) >= FEWEST_ROWS else []


def distinct(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """Leave out texts that stand in more than one package: nobody could tell them apart."""
    packages: dict[str, set[str]] = {}
    for row in rows:
        packages.setdefault(row["text"].lower(), set()).add(row["label"])
    return [row for row in rows if len(packages[row["text"].lower()]) == 1]


def cleaned(docstring: str, package: str) -> str | None:
    """Give the first paragraph on one line, the package's names masked; None if it is no prose."""
    paragraph = docstring.strip().split("\n\n")[0]
    text = re.sub(r":\w+:`~?\.?([^`<]*)[^`]*`", r"\1", paragraph)
    text = " ".join(text.replace("`", "").split())
    names = (package, PACKAGES[package][0], *PACKAGES[package][1])
    pattern = r"(?<![a-z0-9])(" + "|".join(re.escape(name) for name in names) + r")(?![a-z0-9])"
    text = re.sub(pattern, "...", text, flags=re.IGNORECASE)
    num_words = len(text.split())
    is_prose = WORDS[0] <= num_words <= WORDS[1] and text.isascii() and text[:1].isalpha()
    return text if is_prose else None


def source_files(root: Path) -> list[Path]:
    """List a package's source files in an order that mixes its parts, the same on every machine."""
    files = [
        path
        for path in root.rglob("*.p*")
        if path.suffix in (".py", *CYTHON)
        and not SKIPPED_FOLDERS & set(path.relative_to(root).parts)
        and not path.name.startswith("test_")
        and path.stat().st_size <= MAX_FILE_BYTES
    ]
    names = {path: path.relative_to(root).as_posix().encode() for path in files}
    return sorted(files, key=lambda path: hashlib.sha256(names[path]).digest())


def docstrings_of(path: Path) -> Iterator[str]:
    """Yield the docstrings of public functions, classes and methods of a source file."""
    if path.suffix in CYTHON:
        yield from _cython_docstrings(path.read_text(encoding="utf-8", errors="replace"))
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what the parser thinks of other people's code
        try:
            tree = ast.parse(path.read_bytes())
        except (SyntaxError, ValueError):
            return
    waiting: list[ast.AST] = [tree]
    while waiting:
        for node in ast.iter_child_nodes(waiting.pop()):
            if not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            if node.name.startswith("_"):
                continue
            if text := ast.get_docstring(node):
                yield text
            if isinstance(node, ast.ClassDef):
                waiting.append(node)


def _cython_docstrings(source: str) -> Iterator[str]:
    """Yield docstrings of Cython source, which Python's own parser does not read."""
    for match in DEFINITION.finditer(source):
        yield inspect.cleandoc(match[1])
