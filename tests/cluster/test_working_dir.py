"""The folder of a person's own code, looked at without importing it."""

from pathlib import Path

import pytest

from cluster.working_dir import check_working_dir
from configs.errors import RecipeError
from configs.schema import Recipe


def recipe(folder: Path | str | None, **sections: object) -> Recipe:
    return Recipe.model_validate(
        {
            "name": "own",
            "model": {"path": "base"},
            "task": {"kind": "text_classification"},
            "data": {"train": "a.csv", "test": "b.csv"},
            "cluster": {"working_dir": str(folder) if folder is not None else None},
            **sections,
        }
    )


def with_metric(folder: Path | None, *paths: str) -> Recipe:
    return recipe(folder, task={"kind": "text_classification", "metric": list(paths)})


def test_code_is_found_without_being_run(tmp_path: Path) -> None:
    (tmp_path / "plain.py").write_text("import no_such_package\ndef kappa(a, b): ...\n")
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "__init__.py").write_text("from pack.inner import *\n")
    (tmp_path / "pack" / "inner.py").write_text(
        "try:\n    from numpy import mean as average\nexcept ImportError:\n    average = None\n"
    )
    paths = ("plain:kappa", "pack:anything", "pack.inner:average")
    assert check_working_dir(with_metric(tmp_path, *paths)) == ()
    assert check_working_dir(recipe(tmp_path)) == ()


def test_what_is_not_in_the_folder_must_be_installed(tmp_path: Path) -> None:
    asked = with_metric(tmp_path, "sklearn.metrics:f1_score", "sklearn.metrics:log_loss")
    assert check_working_dir(asked) == ("sklearn.metrics",)
    assert check_working_dir(with_metric(None, "sklearn.metrics:f1_score")) == ("sklearn.metrics",)


def test_a_name_that_is_not_there_is_refused(tmp_path: Path) -> None:
    (tmp_path / "plain.py").write_text("class Model: ...\nLIMIT: int = 3\n")
    with pytest.raises(RecipeError, match=r"task\.metric \(plain:kappa\): .* it has Model, LIMIT"):
        check_working_dir(with_metric(tmp_path, "plain:kappa"))
    (tmp_path / "plain.py").write_text("def kappa(:\n")
    with pytest.raises(RecipeError, match=r"plain\.py is not Python: invalid syntax"):
        check_working_dir(with_metric(tmp_path, "plain:kappa"))


def test_a_folder_that_is_none_or_hides_ours_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"cluster\.working_dir \(.*absent\) is no folder"):
        check_working_dir(recipe(tmp_path / "absent"))
    (tmp_path / "trainers").mkdir()
    (tmp_path / "configs.py").touch()
    with pytest.raises(RecipeError, match="holds configs, trainers, which would hide"):
        check_working_dir(recipe(tmp_path))
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "tokenizers.py").touch()
    with pytest.raises(RecipeError, match=r"holds tokenizers\.py, which would be"):
        check_working_dir(recipe(tmp_path / "code"))


def test_code_that_is_left_out_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("def f(a, b): ...\n")
    (tmp_path / ".gitignore").write_text("own.py\n")
    with pytest.raises(RecipeError, match=r"metric \(own:f\) needs own\.py, .*\(\.gitignore\)"):
        check_working_dir(with_metric(tmp_path, "own:f"))
    (tmp_path / ".thawignore").write_text("!own.py\n")
    assert check_working_dir(with_metric(tmp_path, "own:f")) == ()


def test_module_that_shipped_code_imports_is_not_left_out_in_silence(tmp_path: Path) -> None:
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "__init__.py").touch()
    (tmp_path / "pack" / "own.py").write_text("from .more import g\ndef f(a, b): ...\n")
    (tmp_path / "pack" / "more.py").write_text(
        "try:\n    import credentials\nexcept ImportError: ...\ndef g():\n    import id_map\n"
    )
    (tmp_path / "credentials.py").touch()
    (tmp_path / "id_map.py").touch()
    with pytest.raises(RecipeError, match=r"needs id_map\.py, .*\(its name\)\. Write !id_map\.py"):
        check_working_dir(with_metric(tmp_path, "pack.own:f"))
    (tmp_path / "id_map.py").unlink()
    assert check_working_dir(with_metric(tmp_path, "pack.own:f")) == ()
