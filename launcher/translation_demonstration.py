"""The demonstration with a translation: days, from English to French. A small T5 learns it."""

from importlib import resources
from pathlib import Path

from launcher.own_files import write_recipe

NAME = "demo-translate"
QUESTION = "how is a day written in French?"


def write(storage: Path) -> Path:
    """Write texts in both languages, a model's config and tokenizer and a recipe; give its path."""
    from launcher.dates import write_dates
    from launcher.small_translation_model import write_model

    folder = storage / ".demo"
    english, french = write_dates(folder)
    model = write_model(folder / "small-t5", [english, french])
    path = folder / "demo-translate.yaml"
    recipe = resources.files("configs").joinpath("recipes/dates.yaml")
    text = recipe.read_text(encoding="utf-8")
    for old, new in (
        ("name: dates", f"name: {NAME}\nstorage: {storage}"),
        ("path: runs/.demo/small-t5", f"path: {model}"),
        ("path: runs/.demo/dates.en.txt", f"path: {english}"),
        ("pair: runs/.demo/dates.fr.txt", f"pair: {french}"),
        ("num_workers: 1", "num_workers: 2"),
    ):
        text = text.replace(old, new)
    return write_recipe(path, text)
