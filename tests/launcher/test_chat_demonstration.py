"""The demonstration with a chat: the shipped recipe over rows and a model that are there."""

import json
from pathlib import Path

import configs
from configs.load import load_recipe
from launcher.chat_demonstration import write


def test_the_recipe_is_the_shipped_one_over_its_own_rows(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / ".demo"
    folder.mkdir(parents=True)
    # Reading all installed packages takes long: what is there is not written again.
    row = {"prompt": "def f(x):", "completion": "Give x."}
    (folder / "signatures.jsonl").write_text(f"{json.dumps(row)}\n")
    recipe = load_recipe(write(tmp_path / "runs"))
    shipped = load_recipe(Path(configs.__file__).parent / "recipes" / "instruction.yaml")
    assert (recipe.name, recipe.storage) == ("demo-chat", str(tmp_path / "runs"))
    assert Path(str(recipe.data.train)) == folder / "signatures.jsonl"
    assert (Path(recipe.model.path) / "tokenizer.json").exists()
    assert recipe.model.from_scratch
    assert recipe.cluster.num_workers == 2
    for section in ("task", "optimizer", "batch", "schedule", "evaluation"):
        assert getattr(recipe, section) == getattr(shipped, section)
