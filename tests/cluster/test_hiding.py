"""Files of a person's folder that would hide a library."""

from pathlib import Path

import pytest

from cluster.hiding import hidden_libraries


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        ("tokenizers.py", ["tokenizers.py"]),
        ("torch/__init__.py", ["torch/"]),
        ("random.py", ["random.py"]),
        ("yaml.py", ["yaml.py"]),
        ("regex/__init__.py", ["regex/"]),
        ("PIL.py", ["PIL.py"]),
        ("test.py", []),
        ("my_metrics.py", []),
        ("utils/__init__.py", []),
        ("datasets/train.csv", []),
        ("torch/notes.txt", []),
        ("package/random.py", []),
    ],
)
def test_what_would_hide_a_library_is_found(made: str, expected: list[str], tmp_path: Path) -> None:
    path = tmp_path / made
    path.parent.mkdir(exist_ok=True)
    path.write_text("")
    (tmp_path / "model.py").write_text("")
    assert hidden_libraries(tmp_path) == expected


def test_a_package_of_ones_own_that_is_installed_hides_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in (tmp_path / "site", tmp_path / "code"):
        folder.mkdir()
        (folder / "my_own_package.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    assert hidden_libraries(tmp_path / "code") == []
