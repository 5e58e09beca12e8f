"""Rows of an input that a model cannot be asked about: why, how many, the first of each."""

import re
from dataclasses import dataclass, field

FIRST = 5
"""Rows that are named of each kind."""
VALUE = re.compile(r" \([^)]*\)")
"""What a sentence says of one row alone."""


@dataclass
class BadRows:
    """The bad rows seen so far, by what is wrong with them."""

    places: dict[str, list[str]] = field(default_factory=dict)
    """The first rows by reason."""
    counts: dict[str, int] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """How many they are."""
        return sum(self.counts.values())

    def add(self, place: str, sentence: str) -> None:
        """Take one more row in; `place` is its file and row."""
        problem, _, _ = sentence.removeprefix(f"{place}: ").partition(". ")
        reason = VALUE.sub("", problem)
        self.counts[reason] = self.counts.get(reason, 0) + 1
        named = self.places.setdefault(reason, [])
        if len(named) < FIRST:
            named.append(place.rpartition("/")[2])

    def __str__(self) -> str:
        """Say it, one part a reason: `2 x column text is empty (in.csv row 3, in.csv row 9)`."""
        parts = []
        for reason, count in sorted(self.counts.items(), key=lambda item: -item[1]):
            more = ", ..." if count > FIRST else ""
            parts.append(f"{count:,} x {reason} ({', '.join(self.places[reason])}{more})")
        return "; ".join(parts)
