"""Numbers with their units as people read them; which numbers are shown stands in messages.py."""


def plural(count: int, noun: str) -> str:
    """Give a count with its noun, such as `1 row` or `10,003 rows`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def short_count(count: int) -> str:
    """Give a count in at most three digits and a unit: 22.7 M, 1.5 G; small ones in full."""
    for size, unit in ((10**12, "T"), (10**9, "G"), (10**6, "M")):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count:,}"


def size(num_bytes: float) -> str:
    """Give bytes in the unit that leaves one to four digits."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if num_bytes < 1024:
            return f"{num_bytes:.0f} {unit}" if unit == "B" else f"{num_bytes:.1f} {unit}"
        num_bytes /= 1024
    return f"{num_bytes:.1f} TiB"


def duration(seconds: float) -> str:
    """Give seconds as the two largest units that are not zero: 6 m 12 s, 3 h 20 m."""
    whole = round(max(seconds, 0.0))
    if whole < 1:
        return f"{max(seconds, 0.0):.1f} s"
    days, rest = divmod(whole, 86_400)
    hours, rest = divmod(rest, 3_600)
    minutes, rest = divmod(rest, 60)
    units = [(days, "d"), (hours, "h"), (minutes, "m"), (rest, "s")]
    while units[0][0] == 0:
        units.pop(0)
    return " ".join(f"{count} {unit}" for count, unit in units[:2] if count)


def epochs(count: float) -> str:
    """Give a number of epochs with at most two digits behind the point: 3, 0.42, 1,000."""
    return f"{count:,.2f}".rstrip("0").rstrip(".")


def rate(per_second: float) -> str:
    """Give a rate: whole from 10 on, one digit below."""
    return f"{per_second:,.0f}" if per_second >= 10 else f"{per_second:.1f}"


def percent(share: float) -> str:
    """Give a share as per cent with one digit."""
    return f"{100 * share:.1f} %"
