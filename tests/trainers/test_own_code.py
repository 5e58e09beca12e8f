"""A person's own code is imported, called and told apart by its source."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from configs.errors import RecipeError
from tests import own_example
from tests.recipes import tiny_recipe
from trainers.own_code import (
    LOSS,
    MODEL,
    check_own_code,
    load_own,
    own_class,
    own_loss,
    source_of_own,
)

HERE = "tests.own_example"
OUTPUTS = SimpleNamespace(logits=torch.zeros(2, 3))
LABELS = torch.tensor([0, 1])


def test_what_a_path_names_is_given() -> None:
    assert load_own("task.metric", f"{HERE}:several") is own_example.several
    assert own_class(f"{HERE}:Scaled") is own_example.Scaled
    assert own_class("transformers:BertModel").__name__ == "BertModel"


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("no_such_module:f", r"importing no_such_module raised ModuleNotFoundError: .*\. Put the"),
        (
            f"{HERE}:absent",
            r"has no absent that can be called; it has .*Scaled, .*accuracy, .*spoken",
        ),
        (f"{HERE}:NUMBER", "has no NUMBER that can be called"),
    ],
)
def test_what_is_not_there_is_named(path: str, sentence: str) -> None:
    with pytest.raises(RecipeError, match=rf"task\.metric \({path}\).*{sentence}"):
        load_own("task.metric", path)


def test_whatever_an_import_raises_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "own_torn.py").write_text("def f(:\n")
    (tmp_path / "own_rude.py").write_text("raise LookupError('not today')\n")
    for path, said in (("own_torn:f", "SyntaxError: "), ("own_rude:f", "LookupError: not today. ")):
        with pytest.raises(RecipeError, match=f"raised {said}"):
            load_own(LOSS, path)


def test_a_class_that_loads_nothing_is_no_model() -> None:
    for path in (f"{HERE}:several", "pathlib:Path"):
        with pytest.raises(RecipeError, match=r"has no from_pretrained\. Derive"):
            own_class(path)


def test_a_loss_is_one_tensor() -> None:
    found = own_loss(f"{HERE}:bounded")(OUTPUTS, LABELS)
    # Two rows of even logits: log 3 each, which is below the bound.
    assert found.item() == pytest.approx(2 * 1.0986123, rel=1e-6)
    with pytest.raises(RecipeError, match=r"gave Tensor\(2,\)\. Return the sum"):
        own_loss(f"{HERE}:rows")(OUTPUTS, LABELS)
    with pytest.raises(RecipeError, match=r"gave float\. Return the sum"):
        own_loss(f"{HERE}:nowhere")(OUTPUTS, LABELS)
    with pytest.raises(RecipeError, match=r"raised ZeroDivisionError: no rows\. Correct"):
        own_loss(f"{HERE}:broken")(OUTPUTS, LABELS)


def test_source_is_that_of_the_module_and_of_what_it_imports_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    pack = tmp_path / "own_pack"
    pack.mkdir()
    (pack / "__init__.py").touch()
    (pack / "loss.py").write_text("import json\nimport torch\nfrom own_aside import f as g\n")
    (tmp_path / "own_aside.py").write_text("def f(): ...\n")
    (tmp_path / "own_other.py").write_text("def f(): ...\n")
    before = source_of_own(LOSS, "own_pack.loss:g")
    assert before.startswith("own_pack.loss:g ")
    (tmp_path / "own_other.py").write_text("def f(): return 2\n")
    assert source_of_own(LOSS, "own_pack.loss:g") == before
    (tmp_path / "own_aside.py").write_text("def f(): return 2\n")
    assert source_of_own(LOSS, "own_pack.loss:g") != before


def test_source_of_an_installed_module_is_its_file() -> None:
    assert source_of_own(MODEL, "transformers:BertModel").startswith("transformers:BertModel ")


def test_all_that_a_recipe_names_is_looked_at(tmp_path: Path) -> None:
    good = tiny_recipe(tmp_path, loss={"function": f"{HERE}:bounded"})
    check_own_code(good)
    bad = tiny_recipe(tmp_path, model={"implementation": f"{HERE}:bounded"})
    with pytest.raises(RecipeError, match=r"model\.implementation .* has no from_pretrained"):
        check_own_code(bad)
    task = {"metric": [f"{HERE}:several", f"{HERE}:lost"]}
    with pytest.raises(RecipeError, match=r"task\.metric \(tests\.own_example:lost\)"):
        check_own_code(tiny_recipe(tmp_path, task=task))
