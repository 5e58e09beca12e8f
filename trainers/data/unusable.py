"""Rows that a task cannot encode: find all of them, then refuse the data or leave the rows out."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import pyarrow as pa

from configs.cleaning_sections import Cleaning
from configs.errors import DataError
from trainers.data.report import PLACE, Counts, Tally, View, add_tallies
from trainers.tasks.refusals import RowError

PARTS = 64
"""Parts in which rows are looked at again of which one cannot be encoded."""
NAMED = 5
"""Rows that a refusal names of each reason."""
MAX_REASONS = 10
"""Reasons that a refusal tells."""

Encode = Callable[[pa.Table], pa.Table]


def encode_usable(encode: Encode, rows: pa.Table) -> tuple[pa.Table | None, dict[int, RowError]]:
    """Encode the rows that can be; return None where there is none, and the others by their place.

    Each of 4,096 rows is encoded three times at most: with all, with 63 others, and alone.
    """
    try:
        return encode(rows), {}
    except RowError as error:
        if len(rows) == 1:
            return None, {0: error}
    step = -(-len(rows) // PARTS)
    found: list[pa.Table] = []
    refused: dict[int, RowError] = {}
    for start in range(0, len(rows), step):
        encoded, others = encode_usable(encode, rows.slice(start, step))
        found += [encoded] if encoded is not None else []
        refused |= {start + place: error for place, error in others.items()}
    return pa.concat_tables(found) if found else None, refused


def without(rows: pa.Table, refused: Mapping[int, RowError]) -> pa.Table:
    """Leave the rows out that cannot be encoded."""
    if not refused:
        return rows
    usable = [place for place in range(len(rows)) if place not in refused]
    return rows.take(pa.array(usable, pa.int64()))


def count_refused(
    counts: Counts, view: View, rows: pa.Table, refused: Mapping[int, RowError]
) -> None:
    """Count rows that cannot be encoded, by reason, with place and sentence of the first."""
    for place, error in refused.items():
        counts.dropped[error.reason] += 1
        named = view.place_name(rows[PLACE][place].as_py())
        counts.add_examples(error.reason, [f"{named}: {error.sentence}"])


def settle(rules: Cleaning, found: Sequence[Tally], num_rows: int) -> Tally:
    """Add up what could not be encoded of so many rows; raises DataError unless it may be dropped.

    One row is told with all that its task says of it, several are counted by reason.
    """
    tally = add_tallies(found)
    total = sum(tally.dropped.values())
    share = total / num_rows if num_rows else 0.0
    if rules.unusable == "drop" and share <= rules.unusable_share:
        return tally
    if rules.unusable == "drop":
        raise DataError(
            f"{total:,} of {num_rows:,} rows ({100 * share:.1f} %) cannot be used, and "
            f"data.cleaning.unusable_share allows {100 * rules.unusable_share:g} %: "
            f"{_listed(tally)}. Mend them, or raise it"
        )
    if total == 1:
        ((sentence,),) = tally.examples.values()
        raise DataError(sentence)
    if total:
        raise DataError(
            f"{total:,} of {num_rows:,} rows cannot be used: {_listed(tally)}. Mend them, or leave "
            "them out with data.cleaning.unusable: drop"
        )
    return tally


def _listed(tally: Tally) -> str:
    """Say how many of each reason, with the first rows of each and what is said of the first."""
    parts = []
    for reason, count in Counter(tally.dropped).most_common(MAX_REASONS):
        places = [example.partition(": ")[0] for example in tally.examples[reason]]
        first = sorted(places, key=_in_its_file)[:NAMED]
        more = ", ..." if count > len(first) else ""
        parts.append(f"{count:,} x {reason} ({', '.join(first)}{more})")
    left = len(tally.dropped) - MAX_REASONS
    return "; ".join([*parts, *([f"{left:,} more reasons"] if left > 0 else [])])


def _in_its_file(place: str) -> tuple[str, int]:
    name, _, row = place.rpartition(" row ")
    return name, int(row)
