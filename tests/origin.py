"""A made-up origin of exported weights: recipe, manifest and metrics."""

from pathlib import Path

from configs.schema import Recipe
from trainers.data.store import CleaningReport, Manifest, SplitInfo
from trainers.model_card import Origin

NAMES = ("label-0", "label-1", "label-2")


def make_origin(path: Path | str, metrics: dict[str, float] | None = None) -> Origin:
    recipe = Recipe.model_validate(
        {
            "name": "tiny",
            "model": {"path": str(path)},
            "task": {"kind": "text_classification"},
            "data": {"train": "train.csv", "test": "10%"},
        }
    )
    info = SplitInfo(rows=41, id_sum="0", shards=(), lengths={}, class_counts=(20, 11, 10))
    manifest = Manifest(
        fingerprint="f00d",
        task_kind="text_classification",
        label_names=NAMES,
        splits={"train": info, "test": info},
        report=CleaningReport(
            rows_in=90,
            rows_in_by_split={"train": 90},
            duplicates=5,
            dropped={"empty": 3},
            conflicts=0,
            examples={},
        ),
        max_length=32,
        pad_token_id=0,
    )
    return Origin(recipe, manifest, metrics if metrics is not None else {"accuracy": 0.875})
