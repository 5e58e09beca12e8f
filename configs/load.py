"""Read a recipe from YAML and `--set`, or write it; what it may hold stands in schema.py."""

import os
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from configs.addresses import check_address, expanded, shown_address
from configs.errors import NotFoundError, RecipeError, reason_of
from configs.problems import describe_problems, limited, place_of
from configs.schema import Recipe
from configs.secret_words import find_plain_secrets, without_secrets
from configs.source_sections import SourceEntry
from configs.yaml_text import MAX_BYTES, YamlError, read_yaml, write_yaml

FILES_OF_DATABASES = ("sqlite:///", "duckdb:///")
"""Connection URLs that go on with a path, which is relative unless it begins with a slash."""

MAX_SHOWN = 200
MAX_KEYS = 1_000
"""Keys of a recipe or of one of its sections; a deeper mapping may name many classes."""

NO_FILES = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
HANDED_OVER = ("/dev/stdin", "/dev/fd/", "/proc/self/fd/")
"""Names of what is open already, such as a pipe or `<(...)` of a shell."""

SHORT_FORMS = {
    ("freezing",): "mode",
    ("balance",): "method",
    ("data", "train"): "path",
    ("data", "validation"): "path",
    ("data", "test"): "path",
}
"""Keys of what a text stands for that is written in the place of a section."""
IN_ITS_PLACE = {("freezing", "last"), ("freezing", "train")}
"""Keys that say the same as the text of their section, in its place."""
Origins = dict[tuple[str | int, ...], str]


def recipe_path(given: str) -> Path:
    """Return the path of a recipe; raises RecipeError for an address, and for nothing."""
    if not given:
        raise RecipeError("The path of the recipe is empty. Give the path of a YAML file.")
    if "://" in given:
        raise RecipeError(
            f"{shown_address(given)} is an address, and a recipe is a file on this machine. Copy "
            "it here, read it, and give its path."
        )
    return Path(given)


def load_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe file, lay `a.b=c` overrides over it and check the whole.

    Relative paths of data, code and an existing model folder start at the recipe's folder, those in
    overrides, in a recipe from a pipe, and the storage at the current one. Raises RecipeError with
    one sentence per problem, NotFoundError when there is no such file.
    """
    text = _read_text(path)
    name = str(path) if path.name.isdecimal() else path.name
    try:
        value, lines = read_yaml(text, max_keys=MAX_KEYS)
    except YamlError as error:
        raise RecipeError(
            "\n".join(limited([_shown(f"{name}, {problem}.") for problem in error.problems]))
        ) from error
    if not isinstance(value, dict):
        kinds = {"NoneType": "nothing", "list": "a list", "str": "text", "bool": "true or false"}
        found = kinds.get(type(value).__name__, "a number")
        raise RecipeError(
            f"{name}: a recipe is a mapping of keys to values, found {found}. Write it so, "
            "such as `name: my-run`."
        )
    origins: Origins = {key: f"{name}, line {line}" for key, line in lines.items()}
    problems = _lay_over(value, overrides, origins)
    folder = Path.cwd() if _is_handed_over(path) else path.absolute().parent
    return _checked(value, origins, problems, folder)


def change_recipe(recipe: Recipe, overrides: Sequence[str]) -> Recipe:
    """Lay `a.b=c` overrides over a recipe; raises RecipeError with one sentence per problem."""
    value, origins = recipe.model_dump(mode="json"), Origins()
    problems = _lay_over(value, overrides, origins)
    return _checked(value, origins, problems, Path.cwd())


def recipe_from(value: Mapping[str, Any]) -> Recipe:
    """Check a recipe given as plain values; relative paths start at the current folder."""
    return _checked(dict(value), {}, [], Path.cwd())


def _checked(value: dict[str, Any], origins: Origins, problems: list[str], folder: Path) -> Recipe:
    """Check plain values and resolve their paths; raise one RecipeError about all problems."""
    secrets = limited(_plain_secrets(value, origins))
    problems = [*limited(problems), *describe_problems(value, origins), *secrets]
    if problems:
        raise RecipeError("\n".join(_shown(problem) for problem in problems))
    return _with_paths(Recipe.model_validate(value), origins, folder)


def _shown(sentence: str) -> str:
    """Give a sentence on one line, without what looks like a secret."""
    plain = without_secrets(sentence)
    return "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in plain)


def _plain_secrets(value: dict[str, Any], origins: Origins) -> list[str]:
    """Say where a secret stands in plain; cluster.env and cluster.secrets say it themselves."""
    return [
        f"{place_of(path, origins)}{'.'.join(map(str, path))} holds what looks like a secret, and "
        "every copy of the recipe would show it. Take it out, name the variable that holds it in "
        "cluster.secrets, and write ${NAME} in the URL of a database."
        for path in find_plain_secrets(value)
        if path[:2] not in (("cluster", "env"), ("cluster", "secrets"))
    ]


def _read_text(path: Path) -> str:
    try:
        _refuse_no_file(path)
        with path.open("rb") as stream:  # a pipe has no size
            data = stream.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise RecipeError(
                f"{path} is larger than {MAX_BYTES:,} bytes. Give the YAML file of a recipe."
            )
        return data.decode().replace("\r\n", "\n").replace("\r", "\n")
    except FileNotFoundError as error:
        raise NotFoundError(f"There is no recipe {path}. Give the path of a YAML file.") from error
    except UnicodeDecodeError as error:
        raise RecipeError(f"{path} is not UTF-8 text. Save it as UTF-8.") from error
    except OSError as error:
        raise RecipeError(
            f"{str(path)[:MAX_SHOWN]} cannot be read: {reason_of(error)}. Give the path of a YAML "
            "file."
        ) from error
    except ValueError as error:
        raise RecipeError(f"{str(path)!r} is no path. Give the path of a YAML file.") from error


def _refuse_no_file(path: Path) -> None:
    """Raise RecipeError for what may keep its reader waiting, but not for what a shell hands over.

    Raises OSError for what cannot be looked at.
    """
    kind = stat.S_IFMT(path.stat().st_mode)
    if kind in NO_FILES and not _is_handed_over(path):
        raise RecipeError(f"{path} is {NO_FILES[kind]}. Give the path of a YAML file.")


def _is_handed_over(path: Path) -> bool:
    return str(path.absolute()).startswith(HANDED_OVER)


def _lay_over(value: dict[str, Any], overrides: Sequence[str], origins: Origins) -> list[str]:
    """Put each `a.b=c` into the value, in order; give a sentence for each that cannot be read."""
    problems = []
    for override in overrides:
        dotted, equals, text = override.partition("=")
        keys = tuple(dotted.strip().split("."))
        if not equals or not all(keys):
            problems.append(f"--set {override!r} names no value. Write it as section.key=value.")
            continue
        try:
            new, _ = read_yaml(text)
        except YamlError as error:
            problems += [f"--set {override}: {problem}." for problem in error.problems]
            continue
        section, odd = _section_of(value, keys)
        if odd:
            problems.append(
                f"--set {override}: what stands in {odd} is no mapping of keys to values. Give it "
                f"whole, such as --set '{odd}=...'."
            )
            continue
        section[keys[-1]] = new
        for old in [path for path in origins if path[: len(keys)] == keys]:
            del origins[old]
        origins[keys] = "--set"
    return problems


def _section_of(value: dict[str, Any], keys: tuple[str, ...]) -> tuple[dict[str, Any], str]:
    """Give the mapping that a dotted key is in, made or written out where it is short.

    Also names what stands on the way and has no keys, such as a list; an empty text for nothing.
    """
    section = value
    for place, key in enumerate(keys[:-1], 1):
        found = section.get(key)
        short = SHORT_FORMS.get(keys[:place])
        if isinstance(found, str) and short is not None and not found.endswith("%"):
            found = {short: found} if keys not in IN_ITS_PLACE else {}
        if found is not None and not isinstance(found, dict):
            return {}, ".".join(keys[:place])
        section[key] = dict(found or {})
        section = section[key]
    return section, ""


def _with_paths(recipe: Recipe, origins: Origins, folder: Path) -> Recipe:
    """Make the paths of data, model and storage absolute."""

    def base(*keys: str) -> Path:
        given = (origins.get(keys[:n], "") for n in range(1, len(keys) + 1))
        return Path.cwd() if any(origin.startswith("--set") for origin in given) else folder

    def resolved(value: Any, start: Path) -> Any:
        if isinstance(value, tuple):
            return tuple(resolved(item, start) for item in value)
        if isinstance(value, SourceEntry):
            places = {"path": resolved(value.path, start), "pair": resolved(value.pair, start)}
            return value.model_copy(update=places)
        return _absolute(value, start) if isinstance(value, str) else value

    splits = {
        name: resolved(value, base("data", name))
        for name, value in recipe.data
        if name in ("train", "validation", "test")
    }
    model = _model_path(recipe.model.path, base("model", "path"))
    shipped = recipe.cluster.working_dir
    if shipped is not None:
        shipped = _absolute(shipped, base("cluster", "working_dir"))
    return recipe.model_copy(
        update={
            "cluster": recipe.cluster.model_copy(update={"working_dir": shipped}),
            "data": recipe.data.model_copy(update=splits),
            "model": recipe.model.model_copy(update={"path": model}),
            "storage": check_address(_absolute(recipe.storage, Path.cwd())),
        }
    )


def _model_path(given: str, start: Path) -> str:
    """Give the whole path of a model's folder, also of one that is not there; leave a hub id.

    What stands beside folders of models is one of them, not an id.
    """
    place = Path(_absolute(given, start))
    first, slash, _ = given.partition("/")
    is_beside = slash and next((start / first).glob("*/config.json"), None) is not None
    is_id = not given.startswith(("/", "~", ".")) and given.count("/") <= 1 and not is_beside
    return given if is_id and not place.exists() else str(place)


def _absolute(address: str, start: Path) -> str:
    """Resolve a local path against a folder; leave addresses such as s3:// alone."""
    for scheme in FILES_OF_DATABASES:
        if address.startswith(scheme) and not address.startswith(f"{scheme}/"):
            return scheme + _absolute(address.removeprefix(scheme), start)
    if "://" in address:
        return address
    return os.path.normpath(start / expanded(address))


def recipe_to_yaml(recipe: Recipe) -> str:
    """Write a recipe out in full, defaults included; `load_recipe` reads it back as it is."""
    return write_yaml(recipe.model_dump(mode="json"))


def recipe_difference(old: Recipe, new: Recipe) -> dict[str, tuple[Any, Any]]:
    """Give the dotted path of every value that differs, with the old and the new one."""
    before, after = (dict(_leaves(recipe.model_dump(mode="json"))) for recipe in (old, new))
    paths = [*before, *(path for path in after if path not in before)]
    return {
        path: (before.get(path), after.get(path))
        for path in paths
        if before.get(path) != after.get(path)
    }


def _leaves(value: Any, prefix: str = "") -> list[tuple[str, Any]]:
    """List the values of nested mappings by dotted path; an empty mapping is a value."""
    if not isinstance(value, dict) or (not value and prefix):
        return [(prefix, value)]
    return [
        leaf
        for key, inner in value.items()
        for leaf in _leaves(inner, f"{prefix}.{key}" if prefix else str(key))
    ]


def recipe_schema() -> dict[str, Any]:
    """Give the JSON Schema of a recipe, for editors that complete and check YAML."""
    schema = Recipe.model_json_schema()
    freezing = schema["properties"]["freezing"]
    freezing["anyOf"] = [{"$ref": freezing.pop("$ref")}, {"enum": ["head", "full"]}]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
