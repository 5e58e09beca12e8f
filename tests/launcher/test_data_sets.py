"""data inspect, data report, data validate."""

import json
from pathlib import Path

import pytest

from cluster.data_sets import SetFacts, SplitFacts
from launcher.cli import run
from launcher.data_sets import sample_table, set_lines, split_table
from tests.trainers.data.prepared_sets import prepare_example
from trainers.data.store import Images


@pytest.fixture
def prepared(cluster, tmp_path):
    made = prepare_example(tmp_path)
    cluster.add_run(str(tmp_path / "runs"), data_dir=made.data_dir)
    cluster.add_run(str(tmp_path / "runs"), "early")
    return made


def test_inspect_by_folder_storage_or_run(cluster, prepared, tmp_path, capsys):
    for place in (prepared.data_dir, str(tmp_path / "store"), "small"):
        assert run(["data", "inspect", place], cluster.client()) == 0
        out = capsys.readouterr().out
        for part in ("7 duplicates", "1 missing text", "5 train rows also in test", "label-2"):
            assert part in out, (place, part)
    assert run(["data", "inspect", "small", "--rows", "0", "-o", "json"], cluster.client()) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["splits"]["test"]["rows"] == 6


def test_report_writes_one_page(cluster, prepared, capsys):
    assert run(["data", "report", "small", "-o", "page.html"], cluster.client()) == 0
    assert "page.html" in capsys.readouterr().out
    assert Path("page.html").read_text().startswith("<!doctype html>")
    assert run(["data", "report", "small"], cluster.client()) == 0
    assert Path(f"report-{prepared.manifest.fingerprint[:8]}.html").exists()


def test_report_replaces_no_file_unless_told_to(cluster, prepared, capsys):
    Path("notes.txt").write_text("theirs")
    assert run(["data", "report", "small", "-o", "notes.txt"], cluster.client()) == 9
    assert "notes.txt is there already" in capsys.readouterr().err
    assert Path("notes.txt").read_text() == "theirs"
    words = ["data", "report", "small", "--overwrite", "-o"]
    assert run([*words, "."], cluster.client()) == 9
    Path("link").symlink_to("notes.txt")
    assert run([*words, "link"], cluster.client()) == 9
    assert Path("notes.txt").read_text() == "theirs"
    assert run([*words, "notes.txt"], cluster.client()) == 0
    assert Path("notes.txt").read_text().startswith("<!doctype html>")


def test_validate_says_what_is_wrong_and_exits_with_the_code_of_data(cluster, prepared, capsys):
    for words in (["data", "validate", "small"], ["data", "validate", "small", "--quick"]):
        assert run(words, cluster.client()) == 0
        assert capsys.readouterr().out.startswith("whole")
    path = Path(prepared.data_dir, "train-00000.arrow")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert run(["data", "validate", "small", "--quick"], cluster.client()) == 0
    assert run(["data", "validate", "small"], cluster.client()) == 3
    assert "train-00000.arrow is damaged" in capsys.readouterr().err
    path.unlink()
    assert run(["data", "validate", "small", "-o", "json"], cluster.client()) == 3
    out = capsys.readouterr().out
    assert "is missing" in json.loads(out.splitlines()[-1])["problems"][0]


def test_what_holds_no_set(cluster, prepared, tmp_path, capsys):
    assert run(["data", "inspect", "absent"], cluster.client()) == 8
    assert run(["data", "inspect", str(tmp_path / "runs")], cluster.client()) == 8
    assert run(["data", "inspect", "early"], cluster.client()) == 8
    assert "Run early has no prepared data yet" in capsys.readouterr().err


def test_rows_without_labels_are_shown_without_them():
    facts = SplitFacts(
        rows=2,
        num_shards=1,
        num_bytes=1,
        mean_length=1.0,
        longest=1,
        labels={},
        samples=(("a", ""), ("b", "")),
    )
    assert sample_table("test", facts) == (("TEST",), [["a"], ["b"]])
    named = facts.model_copy(update={"samples": (("a", "x"), ("b", ""))})
    assert sample_table("test", named) == (("TEST", "LABEL"), [["a", "x"], ["b", ""]])


def test_images_are_shown_in_pixels():
    split = SplitFacts(
        rows=2, num_shards=1, num_bytes=1, mean_length=1.0, longest=1, labels={}, samples=()
    )
    images = Images(width=32, height=24, fed_width=224, fed_height=224)
    facts = SetFacts(
        path="set",
        fingerprint="f",
        task="image_classification",
        max_length=1,
        images=images,
        splits={"train": split},
        rows_in=2,
        duplicates=0,
        dropped={},
        changed={},
        conflicts=0,
        contamination={},
        notes=(),
    )
    assert set_lines(facts)[0].parts[-1] == "images of 32 x 24 pixels (median)"
    header, rows = split_table(facts)
    assert (header[-1], rows[0][-1]) == ("FED AS", "224 x 224 pixels")
    header, rows = split_table(facts.model_copy(update={"images": None}))
    assert header[-2:] == ("MEAN TOKENS", "LONGEST") and len(rows[0]) == len(header)


def test_a_text_that_is_cut_says_so():
    split = SplitFacts(
        rows=1,
        num_shards=1,
        num_bytes=1,
        mean_length=1.0,
        longest=1,
        labels={},
        samples=(("a" * 101, ""),),
    )
    assert sample_table("test", split)[1] == [[f"{'a' * 97}..."]]
