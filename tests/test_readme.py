"""README.md says what the code does."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from pydantic import BaseModel

from configs.load import load_recipe
from configs.schema import Recipe
from configs.training_arguments import TRAINING_ARGUMENTS
from launcher.cli import cli
from tests.readme_blocks import BLOCKS, README, block_pattern
from tests.source_tree import ROOT

TEXT = README.read_text()


@pytest.mark.parametrize("name", BLOCKS)
def test_block_is_what_the_code_says(name: str) -> None:
    found = block_pattern(name).findall(TEXT)
    assert found == [f"{BLOCKS[name]()}\n"], (
        "write it anew: .venv/bin/python -m tests.readme_blocks"
    )


def test_help_lists_the_commands_of_the_readme() -> None:
    shown = CliRunner().invoke(cli, ["--help"]).output
    listed = re.findall(r"^  ([a-z]+) {2,}", shown.split("Commands:")[1], re.M)
    in_readme = re.findall(r"^\| `thaw ([a-z]+)", TEXT, re.M)
    assert listed == list(dict.fromkeys(in_readme))


def test_the_recipe_loads_and_says_what_the_readme_says(tmp_path: Path) -> None:
    path = tmp_path / "banking77.yaml"
    path.write_text(re.findall(r"```yaml\n(.*?)```", TEXT, re.S)[0])
    recipe = load_recipe(path)
    assert recipe.batch.lanes * recipe.batch.microbatch_size == 32
    assert recipe.data.validation == pytest.approx(0.1)
    required = [name for name, field in Recipe.model_fields.items() if field.is_required()]
    assert required == ["name", "model", "task", "data"]


def recipe_keys() -> set[str]:
    return keys_of(Recipe)


def keys_of(section: type[BaseModel], prefix: str = "") -> set[str]:
    keys = {f"{prefix}{name}" for name in section.model_fields}
    for name, field in section.model_fields.items():
        for candidate in (field.annotation, *getattr(field.annotation, "__args__", ())):
            if isinstance(candidate, type) and issubclass(candidate, BaseModel):
                keys |= keys_of(candidate, f"{prefix}{name}.")
    return keys


def test_training_arguments_are_those_that_a_recipe_is_corrected_with() -> None:
    table = TEXT.split("## From Hugging Face TrainingArguments")[1].split("\n## ")[0]
    rows = [line.split("|")[1:3] for line in table.splitlines() if line.startswith("| `")]
    assert rows
    for theirs, ours in rows[1:]:
        keys = re.findall(r"`([\w.]+)`", ours)
        assert set(keys) <= recipe_keys(), ours
        for name in re.findall(r"\w+", theirs):
            if keys and name in TRAINING_ARGUMENTS:
                key = TRAINING_ARGUMENTS[name]
                assert key in keys or key.split(".")[0] in keys, name
    assert set(TRAINING_ARGUMENTS.values()) <= recipe_keys()


def test_make_targets_of_the_readme_exist() -> None:
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M)
    named = re.findall(r"(?:^|`)make ([a-z]+)", TEXT, re.M)
    assert named
    assert not set(named) - set(targets)


def test_files_that_the_readme_names_exist() -> None:
    named = re.findall(r"`((?:benchmarks|tests)/[\w./]*|\w+\.(?:toml|txt))`", TEXT)
    assert named
    assert not [path for path in named if not (ROOT / path).exists()]
