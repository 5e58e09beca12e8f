"""Put changed rows in the place of shard rows; how texts are changed stands in augmentation.py.

How images are changed stands in image_augmentation.py, how they are mixed in image_mixing.py.
"""

import numpy as np
import pyarrow as pa

from configs.errors import RecipeError
from configs.schema import Recipe
from configs.task_sections import ImageClassification
from trainers.data.augmentation import RAW, augment_texts, chosen_rows
from trainers.data.batches import Change
from trainers.data.image_mixing import Mix, build_mix
from trainers.data.store import ROW_ID, Manifest
from trainers.tasks import functions_of
from trainers.tasks.pixels import shape_of


def build_changes(recipe: Recipe, manifest: Manifest) -> tuple[Change | None, Mix | None]:
    """Give what changes training rows and what mixes them; None each where the recipe does not."""
    options = recipe.augmentation
    if not isinstance(recipe.task, ImageClassification):
        return build_change(recipe, manifest.max_length), None
    if not options.changes_images:
        return None, None
    from trainers.data.image_augmentation import build_image_change

    shape = shape_of(manifest.numbers, recipe.task.image_size)
    change = build_image_change(options, recipe.seed, shape)
    return change, build_mix(options, recipe.seed)


def build_change(recipe: Recipe, max_length: int) -> Change | None:
    """Give the function that changes training texts; None where the recipe changes none.

    Raises RecipeError for a tokenizer without mask token where words are to be masked.
    """
    options = recipe.augmentation
    if not options.changes_texts:
        return None
    task = functions_of(recipe.task)
    tokenizer = task.load_processor(recipe.model)
    columns = [column.name for column in task.columns(recipe.task).inputs]
    if options.mask and tokenizer.mask_token is None:
        raise RecipeError(
            f"augmentation.mask needs a mask token and the tokenizer of {recipe.model.path} has "
            "none. Use delete, swap or typos"
        )

    def change(rows: pa.Table, epoch: int) -> pa.Table:
        row_ids = rows[ROW_ID].to_numpy()
        chosen = chosen_rows(options, recipe.seed, epoch, row_ids)
        if not chosen.any():
            return rows
        old = rows.filter(pa.array(chosen))
        texts = zip(*(old[RAW + name].to_pylist() for name in columns), strict=True)
        ids = row_ids[chosen].tolist()
        new = [
            augment_texts(row, options, tokenizer.mask_token, (recipe.seed, epoch, row_id))
            for row, row_id in zip(texts, ids, strict=True)
        ]
        cells = [pa.array(column, pa.string()) for column in zip(*new, strict=True)]
        table = pa.table(cells, names=columns)
        encoded = task.encode_inputs(recipe.task, tokenizer, max_length, table)
        for name in encoded.column_names:
            old = old.set_column(old.column_names.index(name), name, encoded[name])
        places = np.argsort(np.argsort(chosen, kind="stable"))
        joined = pa.concat_tables([rows.filter(pa.array(~chosen)), old.cast(rows.schema)])
        return joined.combine_chunks().take(pa.array(places))

    return change
