"""Look at what a recipe names on this machine, before anything is shipped: first rows and model.

Only what is sure to be refused later is refused; what is seen by the cluster alone is passed over.
"""

import glob
import json
import os
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from configs.data_sections import Data
from configs.errors import DataError, RecipeError
from configs.outside_text import shortened
from configs.schema import Recipe
from configs.source_sections import SourceEntry, is_database, source_entries
from configs.task_sections import WHOLE_TEXTS, asked_labels

MAX_FILES = 10
"""Files of a split whose first rows are read."""
MAX_CONFIG_BYTES = 2**20
SPLITS = ("train", "validation", "test")
PLAIN = """
bert roberta xlm-roberta camembert electra deberta-v2 mpnet modernbert llama mistral qwen2 qwen3
gemma gemma2 vit deit
"""
"""Kinds of models with one list of blocks, whose number is their num_hidden_layers."""
BLOCKS = {
    **dict.fromkeys(PLAIN.split(), "num_hidden_layers"),
    "distilbert": "n_layers",
    "gpt2": "n_layer",
}
"""Key of config.json with the number of blocks, by kind of model."""
WEIGHTS = ("*.safetensors", "*.bin", "*.h5", "*.msgpack", "*.index.json", "*.pt", "*.gguf")
MARKS = "BIESLUM"
"""Letters before the type of a tag, in all schemes of spans."""


def look_at(recipe: Recipe, *, into_folders: bool = True) -> list[str]:
    """Look at local files and model; give sentences about what is unusual.

    Raises DataError for rows that preparation refuses, RecipeError for what the recipe says wrongly
    of them. Without `into_folders` folders, which may be large, are left alone.
    """
    _look_at_model(recipe)
    notes = [*_of_pooling(recipe)]
    return [*notes, *_look_at_rows(recipe, local_data(recipe, into_folders=into_folders))]


def local_data(recipe: Recipe, *, into_folders: bool = True) -> Data:
    """Return the data of a recipe with those of their files alone that are on this machine."""
    return recipe.data.model_copy(
        update={
            name: tuple(_here(getattr(recipe.data, name), into_folders=into_folders)) or None
            for name in SPLITS
            if not isinstance(getattr(recipe.data, name), float)
        }
    )


def _here(given: Any, *, into_folders: bool) -> Iterator[SourceEntry]:
    """Yield the entries of a split with those of their files that are on this machine."""
    for entry in source_entries(given):
        is_remote = entry.format == "sql" or any("://" in path for path in entry.paths)
        if is_remote or any(map(is_database, entry.paths)):
            continue
        paths = tuple(
            path
            for path in entry.paths
            if (os.path.lexists(path) or glob.glob(path, recursive=True))
            and (into_folders or not os.path.isdir(path))
        )
        if paths and (entry.pair is None or os.path.isfile(entry.pair)):
            yield entry.model_copy(update={"path": paths[0] if len(paths) == 1 else paths})


def _look_at_rows(recipe: Recipe, here: Data) -> list[str]:
    from trainers.data.first_rows import read_first_rows
    from trainers.data.sources import list_sources
    from trainers.tasks import functions_of

    columns = functions_of(recipe.task).columns(recipe.task)
    names = [column.name for column in columns.all]
    sources = list_sources(here)
    _refuse_rows_of_training(
        {
            (source.split, os.path.realpath(source.address), source.field): source.address
            for source in sources
        }
    )
    rule = recipe.data.split
    notes: list[str] = []
    for split in SPLITS:
        is_asked = rule.column not in names and (rule.by == "group" or split == "train")
        extra = rule.column if is_asked else None
        for source in [each for each in sources if each.split == split][:MAX_FILES]:
            rows = read_first_rows(source, columns, extra)
            if rows is not None and columns.target is not None:
                cells = {name for name in rows[columns.target.name].to_pylist() if name}
                notes += _of_targets(recipe, columns.target.kind, cells, source.shown)
    return list(dict.fromkeys(notes))


def _refuse_rows_of_training(files: dict[tuple[str, str, str | None], str]) -> None:
    """Refuse files that are given for training and for judging what was learned."""
    for (split, path, field), address in files.items():
        if split != "train" and ("train", path, field) in files:
            raise RecipeError(
                f"data.{split} and data.train both name {address}: what is learnt by heart would "
                f"look right. Name other rows, or take a share such as data.{split}: 10%"
            )


def _of_targets(recipe: Recipe, kind: str, cells: set[str], address: str) -> Iterator[str]:
    """Yield what is unusual about labels or tags; raises DataError where none of them is listed."""
    asked = asked_labels(recipe.task)
    if kind == "label" and asked is not None and cells:
        others = sorted(cell for cell in cells if cell.strip() not in asked and cell not in asked)
        some = ", ".join(repr(shortened(label, 40)) for label in others[:3])
        if len(others) == len(cells):
            raise DataError(
                f"{address}: no label of its first rows is in task.labels; they are {some}. "
                "Correct task.label or task.labels"
            )
        if others:
            yield f"{address} has labels that are not in task.labels: {some}"
    if kind == "tags":
        tags = {tag for cell in cells for tag in json.loads(cell)} - {"O"}
        odd = sorted(tag for tag in tags if tag[:1] not in MARKS or tag[1:2] not in ("", "-"))
        marked = len(odd) < len(tags)
        if odd and marked:
            yield (
                f"{address} has tags of spans and others, such as {shortened(odd[0], 40)!r}, which "
                "no scheme has: tags are scored one by one"
            )


def _look_at_model(recipe: Recipe) -> None:
    """Raise RecipeError for a model's folder that cannot be loaded, or lacks what is to learn."""
    model, folder = recipe.model, Path(recipe.model.path)
    if not model.is_folder or not os.path.lexists(folder):
        return
    if not folder.is_dir():
        raise RecipeError(f"model.path ({folder}) is a file. Give the folder that it lies in")
    if model.implementation is not None or (folder / "adapter_config.json").exists():
        return
    config = _config(folder)
    has_weights = any(next(folder.glob(pattern), None) for pattern in WEIGHTS)
    if not has_weights and not model.from_scratch:
        raise RecipeError(
            f"model.path ({folder}) has no weights, such as model.safetensors. Copy them there, or "
            "set model.from_scratch"
        )
    if not model.trust_remote_code:
        _check_blocks(recipe, config)


def _of_pooling(recipe: Recipe) -> Iterator[str]:
    """Yield that a head alone stands on a layer that the training of a sentence encoder passed by.

    Such a folder says how it pools (1_Pooling); transformers' classifiers put their head on the
    model's own pooler, whose weights are those of an earlier training, or random. Raises
    RecipeError where `model.pooling` asks the folder and it does not say.
    """
    from trainers.tasks.pooling import POOLING, pooling_modes, pooling_of

    path = Path(recipe.model.path) / POOLING
    if recipe.task.kind not in WHOLE_TEXTS or not recipe.model.is_folder:
        return
    if recipe.model.pooling != "own":
        if os.path.lexists(recipe.model.path):
            pooling_of(recipe.model)
        return
    if not path.is_file():
        return
    by_mean = [name.partition("_")[0] for name in pooling_modes(_config(path.parent))] == ["mean"]
    first = recipe.freezing.schedule[0].learn.mode if recipe.freezing.schedule else None
    begins_with_head = recipe.freezing.gradual or recipe.freezing.preset == "lp_ft"
    begins_with_head |= "head" in (recipe.freezing.mode, first)
    if by_mean and begins_with_head:
        yield (
            f"{recipe.model.path} was trained to give the mean of its tokens (1_Pooling), and "
            f"{recipe.task.kind} puts the head on the model's own pooler instead: a head that "
            "learns alone may learn little. Set model.pooling to folder, or let blocks learn with "
            "it, such as freezing: {last: 2}"
        )


def _config(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    try:
        with path.open("rb") as stream:
            found = json.loads(stream.read(MAX_CONFIG_BYTES))
    except FileNotFoundError as error:
        inside = sorted(each.parent.name for each in folder.glob("*/config.json"))
        hint = f"Did you mean {folder / inside[0]}?" if inside else "Give the folder of a model"
        raise RecipeError(f"model.path ({folder}) has no config.json. {hint}") from error
    except (OSError, ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise RecipeError(f"{path} is no JSON object. Copy the model again")
    return found


def _check_blocks(recipe: Recipe, config: dict[str, Any]) -> None:
    blocks = config.get(BLOCKS.get(str(config.get("model_type")), ""))
    if not isinstance(blocks, int) or isinstance(blocks, bool) or blocks < 1:
        return
    freezing = recipe.freezing
    if freezing.gradual and recipe.epochs <= blocks:
        asked = f"preset {freezing.preset}" if freezing.preset is not None else "gradual"
        raise RecipeError(
            f"freezing.{asked} unfreezes the {blocks} blocks of the model one epoch after the "
            f"other behind the head but epochs is {recipe.epochs}. Use epochs {blocks + 1} or "
            "more, or freezing.schedule"
        )
    asked_last = [freezing.last, *(plan.learn.last for plan in freezing.schedule)]
    last = max((number for number in asked_last if number is not None), default=0)
    if last > blocks:
        raise RecipeError(
            f"freezing.last is {last} but the model has {blocks} blocks. Use at most {blocks}"
        )


def missing_model(recipe: Recipe) -> str | None:
    """Say that a model's folder is not on this machine, with the nearest that is."""
    folder = Path(recipe.model.path)
    if not recipe.model.is_folder or os.path.lexists(folder):
        return None
    beside = [each.name for each in folder.parent.glob("*/") if (each / "config.json").is_file()]
    near = get_close_matches(folder.name, beside, n=1, cutoff=0.4)
    hint = f"Did you mean {folder.parent / near[0]}?" if near else "Correct the path"
    if beside and not near:
        hint = f"Models beside it: {', '.join(sorted(beside)[:5])}. Name one of them"
    return f"model.path ({folder}) is not on this machine. {hint}"
