"""What a preparation is to do: sources, folders, fingerprint; how it is done stands elsewhere."""

import uuid
from collections.abc import Sequence

import pyarrow as pa
from pydantic import BaseModel

from configs.cleaning_sections import SplitRule
from configs.errors import RecipeError
from configs.freezing_sections import Freezing
from configs.run_sections import Evaluation
from configs.schema import Recipe
from configs.task_columns import Columns
from trainers import storage
from trainers.data.image_contents import hash_with_images
from trainers.data.report import View
from trainers.data.sources import Source, list_sources, tokenizer_key
from trainers.data.store import FROZEN, SPLITS, SplitName
from trainers.tasks import functions_of
from trainers.tasks.functions import TaskFunctions

FORMAT_VERSION = 3
"""Goes up with every change of code that makes other shards from the same input."""
FOLDER = ".prepared"
BUCKET_BYTES = 64 * 2**20
COMPRESSED = 4
"""Bytes that one byte of a compressed file is taken for."""
MAX_BUCKETS = 8192
"""No more files or open ones come with more buckets; 512 GiB make so many."""
EXTRA = "thaw.extra"
"""Column with the hash of a row's group or its time in microseconds, if rows are split by that."""
SET = "set"
IMAGE_SHARD_ROWS = 2048
"""Most rows of a shard of images: 0.3 GB of pixels, where one is 224 pixels wide and high."""

Quotas = dict[SplitName, dict[str, tuple[int, ...]]]
"""Rows to take of a source of a split from each bucket; a source that is not there gives all."""


class Plan(BaseModel):
    """Everything that the stages of one preparation must know."""

    model_config = FROZEN
    recipe: Recipe
    columns: Columns
    sources: tuple[Source, ...]
    num_buckets: int
    """Parts by leading bits of the row ids, a power of two that follows from the input's bytes."""
    fingerprint: str
    data_dir: str
    """Address of the prepared set once it is published."""
    work_dir: str
    """Address of the folder for rows on their way, of this preparation alone."""
    shard_dir: str
    """Address where shards are written; renamed to data_dir in the end where it differs."""
    labels: tuple[str, ...] | None = None
    """Label names of the run that test rows alone are prepared for; None prepares all splits."""
    quotas: Quotas = {}
    """Rows to take of mixed sources, known once all sources are scattered."""

    @property
    def num_bytes(self) -> int:
        """Bytes of all source files."""
        return sum(source.num_bytes for source in self.sources)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the input columns and, last, of the target column where there is one."""
        return tuple(column.name for column in self.columns.all)

    @property
    def input_names(self) -> tuple[str, ...]:
        """Names of the input columns."""
        return tuple(column.name for column in self.columns.inputs)

    @property
    def given(self) -> tuple[SplitName, ...]:
        """Splits that files are given for."""
        there = {source.split for source in self.sources}
        return tuple(split for split in SPLITS if split in there)

    @property
    def splits(self) -> tuple[SplitName, ...]:
        """All splits of the prepared set."""
        return tuple(split for split in SPLITS if split in self.given or split in self.shares)

    @property
    def has_images(self) -> bool:
        """Whether rows hold images, which take far more room than texts."""
        return any(column.kind == "image" for column in self.columns.inputs)

    @property
    def shard_rows(self) -> int:
        """Most rows of a shard, which is made in memory: few where a row holds pixels."""
        asked = self.recipe.data.shard_rows
        return min(asked, IMAGE_SHARD_ROWS) if self.has_images else asked

    @property
    def view(self) -> View:
        """How rows are shown to a person."""
        names = tuple(source.shown.rpartition("/")[2] for source in self.sources)
        return View(self.names, names)

    @property
    def source_names(self) -> tuple[str, ...]:
        """Names of the sources, sorted; several files may be one source."""
        return tuple(sorted({source.name for source in self.sources}))

    @property
    def is_mixed(self) -> bool:
        """Whether rows of some source may be left out."""
        return any(source.takes_part for source in self.sources)

    @property
    def has_groups(self) -> bool:
        """Whether rows of one group stay together."""
        return self.recipe.data.split.by == "group"

    @property
    def extra_type(self) -> pa.DataType | None:
        """Type of the column that rows are split by, where there is one."""
        kinds = {"group": pa.uint64(), "time": pa.int64()}
        return kinds.get(self.recipe.data.split.by)

    def extra_column(self, split: SplitName) -> str | None:
        """Name the column to be read of a source beside those of the task."""
        column = self.recipe.data.split.column
        is_read = column not in self.names and (self.has_groups or split == "train")
        return column if is_read else None

    @property
    def shares(self) -> dict[SplitName, float]:
        """Splits that take a share of the training rows."""
        asked: dict[SplitName, object] = {
            "validation": self.recipe.data.validation,
            "test": self.recipe.data.test,
        }
        return {split: share for split, share in asked.items() if isinstance(share, float)}


def plan_preparation(
    recipe: Recipe,
    storage_root: str,
    *,
    sources: Sequence[Source] | None = None,
    tasks: TaskFunctions | None = None,
    labels: tuple[str, ...] | None = None,
) -> Plan:
    """Plan the preparation of a recipe's data below `<storage_root>/.prepared`.

    `sources` are those of `find_sources`, each through `hash_with_images`; None does that here, one
    file after another. With `labels` the test rows alone are prepared. Raises DataError for a file
    or glob that finds nothing, RecipeError for rules that rows of the task cannot follow.
    """
    tasks = tasks or functions_of(recipe.task)
    columns = tasks.columns(recipe.task)
    _check_rules(recipe, columns)
    if sources is None:
        sources = [hash_with_images(source, columns) for source in find_sources(recipe, labels)]
    # Of equal rows the first stays, and a preparation may go on where another was killed: so the
    # order is one of names and contents, not that in which somebody listed them.
    sources = sorted(sources, key=lambda source: (source.name, source.content))
    fingerprint = _fingerprint(recipe, sources, labels)
    root = storage.join(storage_root, FOLDER)
    data_dir = storage.join(root, fingerprint)
    # An object store cannot lock or rename: there every preparation has a work folder of its own,
    # the manifest, written last, makes the set exist, and two at once write the same bytes.
    is_local = storage.local_path(storage_root) is not None
    work_dir = f"{data_dir}.work" if is_local else f"{data_dir}.{uuid.uuid4().hex[:12]}.work"
    return Plan(
        recipe=recipe,
        columns=columns,
        sources=tuple(sources),
        num_buckets=_num_buckets(sources),
        fingerprint=fingerprint,
        data_dir=data_dir,
        work_dir=work_dir,
        labels=labels,
        shard_dir=storage.join(work_dir, SET) if is_local else data_dir,
    )


def recipe_for(recipe: Recipe, rows: str) -> Recipe:
    """Return a run's recipe with other rows in the place of its data, as its model is to see them.

    What compares rows with those of other splits has nothing to do, nor has what goes by the
    validation split, of which there is none.
    """
    cleaning = recipe.data.cleaning.model_copy(update={"near_duplicates": None})
    change = {"train": rows, "validation": None, "test": rows, "cleaning": cleaning}
    data = recipe.data.model_copy(update={**change, "split": SplitRule()})
    idle = {"freezing": Freezing(), "evaluation": Evaluation(), "early_stopping": None}
    return recipe.model_copy(update={"data": data, **idle})


def find_sources(recipe: Recipe, labels: tuple[str, ...] | None = None) -> tuple[Source, ...]:
    """Find the files of a preparation: of all splits, or with `labels` of test alone.

    Raises DataError for a path or glob that finds nothing.
    """
    return list_sources(recipe.data, SPLITS if labels is None else ("test",))


def _check_rules(recipe: Recipe, columns: Columns) -> None:
    """Raise RecipeError for rules that need one label a row, or text, where there is none."""
    kind = recipe.task.kind
    one_label = columns.target is not None and columns.target.kind == "label"
    if recipe.data.split.by == "stratified" and not one_label:
        raise RecipeError(
            f"data.split.by is stratified, but a row of {kind} has not one label. Set it to hash, "
            "group or time"
        )
    has_images = any(column.kind == "image" for column in columns.inputs)
    if has_images and recipe.data.cleaning.near_duplicates is not None:
        raise RecipeError(
            f"data.cleaning.near_duplicates compares words, but {kind} reads images. Leave it out"
        )


def _fingerprint(recipe: Recipe, sources: Sequence[Source], labels: tuple[str, ...] | None) -> str:
    """Hash what the prepared rows depend on; where the files lie and how they are called is not."""
    data = recipe.data.model_dump(mode="json", exclude={"train", "validation", "test", "format"})
    splits = (recipe.data.validation, recipe.data.test)
    shares = [given if isinstance(given, float) else None for given in splits]
    parts = [
        f"format {FORMAT_VERSION}",
        recipe.task.model_dump_json(exclude={"metric"}),
        repr(sorted(data.items())),
        repr(shares),
        f"max_length {recipe.batch.max_length}",
        f"texts {recipe.augmentation.changes_texts}",
        tokenizer_key(recipe.model),
        *(() if labels is None else (f"labels {labels!r}",)),
        *sorted(source.content for source in sources),
    ]
    return storage.bytes_hash("\n".join(parts).encode())


def _num_buckets(sources: Sequence[Source]) -> int:
    num_bytes = 0
    for source in sources:
        num_bytes += source.num_bytes * (COMPRESSED if source.is_compressed else 1)
    wanted = -(-num_bytes // BUCKET_BYTES)
    return min(MAX_BUCKETS, 1 << max(0, wanted - 1).bit_length())
