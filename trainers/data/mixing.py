"""How many rows of each source a prepared set takes, and which; where rows come from is sources'.

A source with `max_rows` gives at most so many different rows. Those with a `weight` give rows in
proportion to their weights, as many as the scarcest of them allows. The number is shared out over
the buckets in proportion to the source's rows in them, and in a bucket the rows with the smallest
draws are taken: a draw is a function of the row's own content. So the choice is exact to the row,
needs nothing but counts of the other buckets, and has nothing to do with the order of rows, with
machines or with splits.
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction

import numpy as np
import pyarrow as pa
from pydantic import BaseModel

from configs.errors import DataError
from trainers.data.duplicates import COPIES, ID_LOW
from trainers.data.plan import Plan, Quotas
from trainers.data.report import PLACE, ROW_BITS, Counts
from trainers.data.row_ids import Hashes, draws
from trainers.data.scratch import read_bucket
from trainers.data.sources import Source
from trainers.data.store import FROZEN, SplitName

DRAW_SEED = np.uint64(0x6D69_7869_6E67_2121)


class Counted(BaseModel):
    """Different rows of one bucket, by split and source, of the sources that are mixed."""

    model_config = FROZEN
    rows: dict[SplitName, dict[str, int]]


def count_bucket(plan: Plan, bucket: int) -> Counted:
    """Count the rows of one bucket; all sources must be scattered."""
    found: dict[SplitName, dict[str, list[Hashes]]] = {}
    for number, source in enumerate(plan.sources):
        if source.takes_part:
            held = found.setdefault(source.split, {}).setdefault(source.name, [])
            table = read_bucket(plan.work_dir, "scattered", str(number), bucket)
            if table is not None:
                held.append(table[ID_LOW].to_numpy())
    return Counted(
        rows={
            split: {
                name: len(np.unique(np.concatenate(parts))) if parts else 0
                for name, parts in names.items()
            }
            for split, names in found.items()
        }
    )


def choose_quotas(sources: Sequence[Source], counted: Sequence[Counted]) -> Quotas:
    """Decide how many rows of which source to take from each bucket.

    Raises DataError for a weighted source without rows.
    """
    quotas: Quotas = {}
    for split in dict.fromkeys(source.split for source in sources):
        asked = {s.name: s for s in sources if s.split == split and s.takes_part}
        rows = {name: [each.rows[split][name] for each in counted] for name in asked}
        taken = _totals(asked, {name: sum(there) for name, there in rows.items()})
        if taken:
            quotas[split] = {name: _share_out(taken[name], rows[name]) for name in taken}
    return quotas


def take_quotas(
    plan: Plan, bucket: int, rows: Mapping[SplitName, pa.Table], counts: Counts
) -> dict[SplitName, pa.Table]:
    """Take the quotas of one bucket, with all copies of a row that is taken; count the others."""
    taken: dict[SplitName, pa.Table] = dict(rows)
    for split, quotas in plan.quotas.items():
        table = rows[split]
        low = table[ID_LOW].to_numpy()
        places = source_places(plan, table).to_numpy()
        keep = np.ones(table.num_rows, bool)
        for name, quota in quotas.items():
            mine = places == plan.source_names.index(name)
            different = np.unique(low[mine])
            order = np.argsort(draws(different ^ DRAW_SEED), kind="stable")
            left_out = mine & np.isin(low, different[order[quota[bucket] :]])
            if left_out.any():
                reason = f"beyond the share of {name}"
                counts.dropped[reason] += int(table[COPIES].to_numpy()[left_out].sum())
                counts.add_examples(reason, plan.view.show(table, left_out))
                keep &= ~left_out
        taken[split] = table.filter(pa.array(keep))
    return taken


def source_places(plan: Plan, rows: pa.Table) -> pa.Array:
    """Give the place of each row's source among the plan's names."""
    names = plan.source_names
    of_number = np.array([names.index(source.name) for source in plan.sources], np.int16)
    return pa.array(of_number[(rows[PLACE].to_numpy() >> ROW_BITS).astype(np.int64)])


def _totals(asked: Mapping[str, Source], totals: Mapping[str, int]) -> dict[str, int]:
    """Give the rows to take of each source: caps first, then weights."""
    taken = {name: min(rows, asked[name].max_rows or rows) for name, rows in totals.items()}
    weights = {
        name: Fraction(str(source.weight))
        for name, source in asked.items()
        if source.weight is not None
    }
    for name in weights:
        if not taken[name]:
            raise DataError(f"source {name} has no rows to mix. Check its columns, or leave it out")
    if weights:
        scale = min(taken[name] / weight for name, weight in weights.items())
        taken |= {name: int(scale * weight) for name, weight in weights.items()}
    return taken


def _share_out(total: int, rows: Sequence[int]) -> tuple[int, ...]:
    """Share a total out over buckets in proportion to their rows, largest remainder first."""
    everything = sum(rows)
    if not everything:
        return tuple(rows)
    shares = [total * each // everything for each in rows]
    remainders = sorted((-(total * each % everything), place) for place, each in enumerate(rows))
    for _, place in remainders[: total - sum(shares)]:
        shares[place] += 1
    return tuple(shares)
