"""Signatures and what functions do are read from source files without running them."""

from pathlib import Path

from launcher.signatures import pairs_of

SOURCE = '''
def area(width: float, height: float = 1.0) -> float:
    """Give the area of a rectangle.

    More of it.
    """

class Shape:
    async def draw(self, *points, **options):
        """

        Draw all points of it, one by one.
        """

    def _hidden(self, some, parameters):
        """Nobody outside is told of this."""

def undocumented(first, second, third):
    pass

def letters(first, second, third):
    """Gr\u00f6\u00dfer als alle anderen."""

def f():
    """Too short a signature to tell."""
'''


def test_public_functions_with_a_docstring_give_a_row(tmp_path: Path) -> None:
    path = tmp_path / "shapes.py"
    path.write_text(SOURCE, encoding="utf-8")
    assert list(pairs_of(path)) == [
        (
            "def area(width: float, height: float=1.0) -> float:",
            "Give the area of a rectangle.",
        ),
        ("def draw(self, *points, **options):", "Draw all points of it, one by one."),
    ]


def test_what_is_no_python_gives_none(tmp_path: Path) -> None:
    path = tmp_path / "broken.py"
    path.write_text("def (", encoding="utf-8")
    assert list(pairs_of(path)) == list(pairs_of(tmp_path / "fast.pyx")) == []
