"""The report page: the manifest's numbers, nothing from elsewhere, the same bytes each time."""

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from tests.trainers.data.prepared_sets import prepare_example
from trainers.data.report_page import MAX_LABELS, REPORT, render_report


def test_the_page_lies_beside_the_manifest_and_says_what_it_says(tmp_path: Path) -> None:
    made = prepare_example(tmp_path)
    page = Path(made.data_dir, REPORT).read_text()
    assert page == render_report(made.manifest)
    for name, info in made.manifest.splits.items():
        assert f"<b>{info.rows:,}</b><span>{name}</span>" in page
    assert "5 train rows also in test" in page
    assert "dropped: missing text" in page
    assert "train.jsonl row 309" in page


def test_the_page_needs_nothing_else_and_is_well_formed(tmp_path: Path) -> None:
    page = Path(prepare_example(tmp_path).data_dir, REPORT).read_text()
    assert not re.search(r"https?:|src=|@import|<script|<link", page)
    for drawing in re.findall(r"<svg.*?</svg>", page, re.S):
        root = ElementTree.fromstring(drawing)
        for rect in root.iter("rect"):
            assert float(rect.get("width", "0")) >= 0
            assert float(rect.get("height", "0")) >= 0


def test_what_stands_in_the_rows_is_text_and_no_markup(tmp_path: Path) -> None:
    manifest = prepare_example(tmp_path).manifest
    report = manifest.report.model_copy(update={"examples": {"x": ("<script>alert(1)</script>",)}})
    page = render_report(manifest.model_copy(update={"report": report}))
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_histograms_hold_every_row_and_labels_are_bounded(tmp_path: Path) -> None:
    manifest = prepare_example(tmp_path).manifest
    page = render_report(manifest)
    counted = [int(count.replace(",", "")) for count in re.findall(r"tokens: ([\d,]+) rows", page)]
    assert sum(counted) == sum(info.rows for info in manifest.splits.values())
    count = MAX_LABELS + 5
    names = tuple(f"name-{number}" for number in range(count))
    splits = {
        name: info.model_copy(update={"class_counts": (info.rows, *[0] * (count - 1))})
        for name, info in manifest.splits.items()
    }
    many = manifest.model_copy(update={"label_names": names, "splits": splits})
    assert "and 5 labels with fewer training rows" in render_report(many)
