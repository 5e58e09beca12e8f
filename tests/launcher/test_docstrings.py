"""Rows out of installed packages."""

import json

import pytest

from launcher.docstrings import (
    PACKAGES,
    ROWS_PER_PACKAGE,
    cleaned,
    distinct,
    docstrings_of,
    package_texts,
    write_docstrings,
)

PYTHON = '''
"""Module docstring, not taken."""
def public():
    """A public function."""
def _private():
    """A private function."""
class Public:
    """A public class."""
    def method(self):
        """A public method."""
        def inner():
            """Inside a function."""
'''
CYTHON = '''
cdef class Array(_PandasConvertible):
    """
    The base class.
    """
    def validate(self, *, full=False):
        """
        Perform validation checks.

        Raises if they fail.
        """
'''


@pytest.mark.parametrize(
    ("docstring", "text"),
    [
        (
            "Sort the torch tensor along a PyTorch dim.\n\nMore.",
            "Sort the ... tensor along a ... dim.",
        ),
        ("Wraps\n    several   `lines` into just one", "Wraps several lines into just one"),
        ("See :class:`~torch.nn.Linear` for what it does", "See ....nn.Linear for what it does"),
        ("Torchvision is another word than it", "Torchvision is another word than it"),
        ("Too short", None),
        ("word " * 61, None),
        (">>> print(1) and so on and on", None),
        ("Caf\u00e9 words that are not ASCII at all", None),
    ],
)
def test_cleaned_is_one_line_of_prose_without_the_packages_name(docstring, text):
    assert cleaned(docstring, "torch") == text


def test_public_docstrings_of_python_and_cython(tmp_path):
    (tmp_path / "a.py").write_text(PYTHON)
    (tmp_path / "a.pxi").write_text(CYTHON)
    (tmp_path / "b.py").write_text("def broken(:")
    assert sorted(docstrings_of(tmp_path / "a.py")) == [
        "A public class.",
        "A public function.",
        "A public method.",
    ]
    assert [text.split("\n")[0] for text in docstrings_of(tmp_path / "a.pxi")] == [
        "The base class.",
        "Perform validation checks.",
    ]
    assert [*docstrings_of(tmp_path / "b.py")] == []


def test_texts_that_two_packages_share_are_left_out():
    rows = [
        {"text": "Same text.", "label": "a"},
        {"text": "same Text.", "label": "b"},
        {"text": "Own text.", "label": "a"},
    ]
    assert distinct(rows) == rows[2:]


def test_a_package_gives_the_same_masked_texts_every_time():
    texts = package_texts("numpy")
    assert texts == package_texts("numpy")
    assert 100 <= len(texts) <= ROWS_PER_PACKAGE and len(set(texts)) == len(texts)
    words = {word.strip("().,`'").lower() for text in texts for word in text.split()}
    assert not words & {"numpy", *PACKAGES["numpy"][1]}


def test_rows_are_written_once_per_set_of_versions(docstrings):
    rows = [json.loads(line) for line in docstrings.read_text().splitlines()]
    assert len(rows) > 2_000 and len({row["label"] for row in rows}) >= 6
    assert all(set(row) == {"text", "label"} for row in rows)
    written = docstrings.stat().st_mtime_ns
    assert write_docstrings(docstrings.parent) == docstrings
    assert docstrings.stat().st_mtime_ns == written
