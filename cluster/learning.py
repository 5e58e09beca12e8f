"""Find in a run's evaluations that it learned to tell nothing apart, and what may help."""

from collections.abc import Sequence

from cluster.pace import Finding
from cluster.remedies import Remedy, Setting, work_out
from configs.records import Evaluated, Record
from configs.schema import Recipe

UNEQUAL = 0.5
"""Share of the rows from which one class on may be all that is worth learning."""
LONGER = Remedy("three times as many epochs", (Setting("epochs", times=3),))
BALANCED = Remedy("rows of small classes more often", (Setting("balance.method", "oversample"),))


def find_one_class(records: Sequence[Record], recipe: Recipe) -> list[Finding]:
    """Tell that the last evaluation gave every row the same class; nothing where it did not."""
    found = [one for one in records if isinstance(one, Evaluated) and one.per_class]
    if not found:
        return []
    last = found[-1]
    rows = {label: scores.get("support", 0) for label, scores in last.per_class.items()}
    there = [label for label, count in rows.items() if count]
    right = [label for label in there if last.per_class[label].get("recall", 0) > 0]
    if len(there) < 2 or len(right) != 1:
        return []
    share = rows[right[0]] / sum(rows.values())
    ways = [BALANCED, LONGER] if share >= UNEQUAL else [LONGER]
    text = (
        f"of {len(there)} classes only {right[0]} is found in the last evaluation of {last.split}: "
        "the steps, the learning rate or what learns is too little, or the classes are too unequal"
    )
    return [Finding(name="one_class", share=share, text=text, changes=work_out(ways, recipe))]
