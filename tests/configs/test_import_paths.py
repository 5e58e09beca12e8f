"""Paths of code are of one form."""

import pytest

from configs.import_paths import check_import_path, split_import_path


def test_a_module_and_a_name_in_it() -> None:
    for path in ("metrics:kappa", "pack.inner_2:Model"):
        assert check_import_path(path) == path
    assert split_import_path("pack.inner:Model") == ("pack.inner", "Model")


@pytest.mark.parametrize(
    "path", ["kappa", "metrics.kappa", "a:b:c", "a/b.py:c", ":c", "a:", "a:b.c"]
)
def test_other_forms_are_refused(path: str) -> None:
    with pytest.raises(ValueError, match=r"names no code\. Write module:name"):
        check_import_path(path)
