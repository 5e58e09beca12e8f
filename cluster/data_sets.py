"""Look at prepared sets for a person; what is in them and what can be wrong, trainers know."""

from pydantic import BaseModel, ConfigDict

from configs.errors import DataError, NotFoundError
from trainers import storage as files
from trainers.data.store import Images

MAX_NAMED = 5


class SplitFacts(BaseModel):
    """One split of a prepared set."""

    model_config = ConfigDict(frozen=True)
    rows: int
    num_shards: int
    num_bytes: int
    mean_length: float
    """Tokens a row; 1 where a row is an image."""
    longest: int
    labels: dict[str, int]
    """How often each label comes; empty where there are none."""
    samples: tuple[tuple[str, str], ...]
    """Text and label of some rows; the label is empty where there is none."""


class SetFacts(BaseModel):
    """What is in a prepared set."""

    model_config = ConfigDict(frozen=True)
    path: str
    fingerprint: str
    task: str
    max_length: int
    images: Images | None
    """Sizes of images in pixels; None where rows are tokens."""
    splits: dict[str, SplitFacts]
    rows_in: int
    duplicates: int
    dropped: dict[str, int]
    changed: dict[str, int]
    conflicts: int
    contamination: dict[str, int]
    notes: tuple[str, ...]


def find_set(address: str) -> str:
    """Find the one prepared set at or below an address: a set, a storage, or its `.prepared`.

    Raises NotFoundError for none, DataError for several.
    """
    from trainers.data.plan import FOLDER
    from trainers.data.store import MANIFEST

    if files.exists(files.join(address, MANIFEST)):
        return address
    for folder in (files.join(address, FOLDER), address):
        names = [name for name in files.list_names(folder) if "." not in name]
        found = [files.join(folder, name) for name in names]
        sets = [each for each in found if files.exists(files.join(each, MANIFEST))]
        if len(sets) == 1:
            return sets[0]
        if sets:
            more = f" and {len(sets) - MAX_NAMED} more" if len(sets) > MAX_NAMED else ""
            named = ", ".join(sets[:MAX_NAMED])
            raise DataError(f"{address} holds {len(sets)} prepared sets. Name one: {named}{more}")
    raise NotFoundError(
        f"{address} holds no prepared set. Name its folder, a run, or prepare with `thaw prepare`"
    )


def inspect_set(data_dir: str, num_rows: int) -> SetFacts:
    """Say what is in a prepared set, with some rows of each split."""
    from trainers.data.samples import sample_rows
    from trainers.data.store import load_manifest

    manifest = load_manifest(data_dir)
    report = manifest.report
    splits = {}
    for name, info in manifest.splits.items():
        tokens = sum(length * rows for length, rows in info.lengths.items())
        samples = sample_rows(data_dir, manifest, name, num_rows) if num_rows else []
        splits[name] = SplitFacts(
            rows=info.rows,
            num_shards=len(info.shards),
            num_bytes=sum(shard.num_bytes for shard in info.shards),
            mean_length=tokens / max(1, info.rows),
            longest=max(info.lengths, default=0),
            labels=dict(zip(manifest.label_names, info.class_counts, strict=True)),
            samples=tuple(samples),
        )
    return SetFacts(
        path=data_dir,
        fingerprint=manifest.fingerprint,
        task=manifest.task_kind,
        max_length=manifest.max_length,
        images=manifest.images,
        splits=splits,
        **report.model_dump(exclude={"rows_in_by_split", "examples"}),
    )


def find_problems(data_dir: str, deep: bool) -> list[str]:
    """Say all that is wrong with a prepared set; raises DataError for a bad manifest."""
    from trainers.data import validation

    return list(validation.find_problems(data_dir, deep=deep))


def report_page(data_dir: str) -> str:
    """Give the report of a prepared set as HTML."""
    from trainers.data.report_page import render_report
    from trainers.data.store import load_manifest

    return render_report(load_manifest(data_dir))
