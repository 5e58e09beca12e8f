"""Make texts with their translations: days of the year, written in English and in French.

Both come from the locale data that Babel carries (Unicode CLDR).
"""

import random
from datetime import date, timedelta
from pathlib import Path

ENGLISH, FRENCH = "dates.en.txt", "dates.fr.txt"
FIRST, DAYS = date(1900, 1, 1), 73_000
ROWS = 4000
FORMS = ("full", "long", "medium")
"""As Babel calls them: `Monday, March 3, 2025`, `March 3, 2025`, `Mar 3, 2025`."""


def write_dates(folder: Path, rows: int = ROWS) -> tuple[Path, Path]:
    """Write a file of lines in each language, unless they are there; a line has its partner."""
    paths = folder / ENGLISH, folder / FRENCH
    if not all(path.exists() for path in paths):
        folder.mkdir(parents=True, exist_ok=True)
        pairs = date_pairs(rows)
        for place, path in enumerate(paths):
            part = path.with_suffix(".part")
            part.write_text("".join(f"{pair[place]}\n" for pair in pairs), encoding="utf-8")
            part.rename(path)
    return paths


def date_pairs(rows: int) -> list[tuple[str, str]]:
    """Give distinct days, each in one of the forms, in English and in French."""
    from babel.dates import format_date

    source = random.Random(0)
    days = [FIRST + timedelta(days=day) for day in source.sample(range(DAYS), rows)]
    forms = [FORMS[source.randrange(len(FORMS))] for _ in days]
    return [
        (format_date(day, form, locale="en"), format_date(day, form, locale="fr"))
        for day, form in zip(days, forms, strict=True)
    ]
