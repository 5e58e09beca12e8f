"""Keep a run's recipe in a file that tells when it is not what was written any more."""

from configs.errors import RecipeError, StorageError
from configs.load import recipe_from, recipe_to_yaml
from configs.schema import Recipe
from configs.yaml_text import YamlError, read_yaml
from trainers import storage as files
from trainers.masking import masked_bytes

HASH = b"# xxh3 of all below: "


def write_recipe(address: str, recipe: Recipe) -> None:
    """Write a recipe with a hash of itself: a shorter or a changed one could be valid, too."""
    text = masked_bytes(recipe_to_yaml(recipe).encode())
    files.write_atomically(address, HASH + files.bytes_hash(text).encode() + b"\n" + text)


def is_as_written(address: str) -> bool:
    """Say whether a file of a recipe has the hash that it begins with; does not parse it.

    Raises NotFoundError when it is absent.
    """
    line, _, text = files.read_bytes(address).partition(b"\n")
    return line == HASH + files.bytes_hash(text).encode()


def read_recipe(address: str) -> Recipe:
    """Read a recipe; raises StorageError when it is damaged, NotFoundError when it is absent."""
    data = files.read_bytes(address)
    line, _, text = data.partition(b"\n")
    try:
        if line.startswith(HASH) and line != HASH + files.bytes_hash(text).encode():
            raise ValueError("its first line holds another hash.")
        return recipe_from(read_yaml(data.decode())[0])
    except (RecipeError, YamlError, TypeError, ValueError) as error:
        raise StorageError(
            f"{address} is not what was written there: {str(error).splitlines()[0]} Put the "
            "recipe back that the run was submitted with"
        ) from error
