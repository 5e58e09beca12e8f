"""Show a manifest as one HTML page that needs nothing else; what it says stands in the manifest."""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, StrictUndefined, Template

from trainers.data.store import Manifest, SplitInfo, SplitName

REPORT = "report.html"
TEMPLATE = Path(__file__).with_name("report.html.j2")
MAX_LABELS = 40
BINS = 40
WIDTH, HEIGHT, BAR_WIDTH = 300.0, 112.0, 400.0
"""Of a histogram and of a bar, in units of their drawings."""


def render_report(manifest: Manifest) -> str:
    """Give the page; the same manifest gives the same bytes."""
    return _template().render(page=_page(manifest))


def _page(manifest: Manifest) -> dict[str, Any]:
    report, splits = manifest.report, manifest.splits
    kept = sum(info.rows for info in splits.values())
    return {
        "fingerprint": manifest.fingerprint,
        "task": manifest.task_kind.replace("_", " "),
        "num_labels": _count(len(manifest.label_names)) if manifest.label_names else "",
        "row_size": _row_size(manifest),
        "has_lengths": manifest.images is None,
        "rows_in": _count(report.rows_in),
        "dropped": _count(report.rows_in - kept),
        "conflicts": _count(report.conflicts),
        "contamination": _counts(report.contamination),
        "notes": report.notes,
        "fates": _fates(manifest),
        "changed": _counts(report.changed),
        "splits": [_split(name, info) for name, info in splits.items()],
        "labels": _labels(manifest),
        "more_labels": max(0, len(manifest.label_names) - MAX_LABELS),
        "examples": sorted(report.examples.items()),
    }


def _row_size(manifest: Manifest) -> str:
    images = manifest.images
    if images is None:
        return f"at most {_count(manifest.max_length)} tokens a row"
    was, fed = f"{images.width} x {images.height}", f"{images.fed_width} x {images.fed_height}"
    return f"images of {was} pixels (median), fed as {fed}"


def _fates(manifest: Manifest) -> list[dict[str, str]]:
    """Say how many rows were kept in each split and dropped for each reason, as bars."""
    report = manifest.report
    fates: list[tuple[str, int, str]]
    fates = [(f"kept in {name}", info.rows, name) for name, info in manifest.splits.items()]
    drops = {"duplicates": report.duplicates, **report.dropped}
    ordered = sorted(drops.items(), key=lambda drop: -drop[1])
    fates += [(f"dropped: {reason}", count, "drop") for reason, count in ordered if count]
    total = max(1, report.rows_in)
    return [
        {
            "name": name,
            "count": _count(count),
            "share": f"{100 * count / total:.1f} %",
            "kind": kind,
            "width": f"{max(1.5, BAR_WIDTH * count / total):.1f}" if count else "0",
        }
        for name, count, kind in fates
    ]


def _split(name: SplitName, info: SplitInfo) -> dict[str, Any]:
    lengths = np.array(list(info.lengths) or [0])
    rows = np.array(list(info.lengths.values()) or [0])
    shortest, longest = int(lengths.min()), int(lengths.max())
    step = -(-(longest - shortest + 1) // BINS)
    binned = np.bincount((lengths - shortest) // step, weights=rows)
    width = WIDTH / len(binned)
    total = max(1, int(rows.sum()))
    enough = np.searchsorted(np.cumsum(rows), 0.95 * total)
    return {
        "name": name,
        "rows": _count(info.rows),
        "shortest": f"{shortest}",
        "longest": f"{longest} tokens",
        "mean": f"{float((lengths * rows).sum()) / total:.1f}",
        "most": f"{lengths[min(int(enough), len(lengths) - 1)]}",
        "bins": [
            _bin(
                place,
                int(count),
                width=width,
                first=shortest + place * step,
                step=step,
                highest=float(binned.max()),
            )
            for place, count in enumerate(binned)
        ],
    }


def _bin(
    place: int, count: int, *, width: float, first: int, step: int, highest: float
) -> dict[str, str]:
    height = (HEIGHT - 4) * count / max(1.0, highest)
    height = max(height, 0.8) if count else 0.0
    span = f"{first}" if step == 1 else f"{first} to {first + step - 1}"
    return {
        "x": f"{place * width:.2f}",
        "y": f"{HEIGHT - height:.2f}",
        "width": f"{width * 0.9:.2f}",
        "height": f"{height:.2f}",
        "title": f"{span} tokens: {_count(count)} rows",
    }


def _labels(manifest: Manifest) -> list[dict[str, Any]]:
    """Give the labels with the most rows of the first split, and their shares as bars."""
    splits = manifest.splits
    most = next(iter(splits.values())).class_counts
    order = sorted(range(len(most)), key=lambda label: (-most[label], label))[:MAX_LABELS]
    shares = {
        name: [count / max(1, info.rows) for count in info.class_counts]
        for name, info in splits.items()
    }
    highest = max((max(values, default=0.0) for values in shares.values()), default=0.0) or 1.0
    return [
        {
            "name": manifest.label_names[label],
            "counts": [_count(info.class_counts[label]) for info in splits.values()],
            "height": 5 * len(splits) - 1,
            "bars": [
                {
                    "kind": name,
                    "y": 5 * place,
                    "width": f"{BAR_WIDTH * shares[name][label] / highest:.1f}",
                }
                for place, name in enumerate(splits)
            ],
        }
        for label in order
    ]


def _count(count: int) -> str:
    return f"{count:,}"


def _counts(counts: dict[str, int]) -> list[tuple[str, str]]:
    return [(what, _count(count)) for what, count in counts.items() if count]


@cache
def _template() -> Template:
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
