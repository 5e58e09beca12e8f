"""The demonstration with a chat: what does a function do? A small Llama learns from scratch."""

from importlib import resources
from pathlib import Path

from launcher.own_files import write_recipe

NAME = "demo-chat"
QUESTION = "what does a function do, going by its signature?"


def write(storage: Path) -> Path:
    """Write prompts with answers, config and tokenizer of a model and a recipe; give its path."""
    from launcher.signatures import write_signatures
    from launcher.small_language_model import write_model

    folder = storage / ".demo"
    data = write_signatures(folder)
    model = write_model(folder / "small-llama", data)
    path = folder / "demo-chat.yaml"
    recipe = resources.files("configs").joinpath("recipes/instruction.yaml")
    text = recipe.read_text(encoding="utf-8")
    for old, new in (
        ("name: instruction", f"name: {NAME}\nstorage: {storage}"),
        ("path: runs/.demo/small-llama", f"path: {model}"),
        ("train: runs/.demo/signatures.jsonl", f"train: {data}"),
        ("num_workers: 1", "num_workers: 2"),
    ):
        text = text.replace(old, new)
    return write_recipe(path, text)
