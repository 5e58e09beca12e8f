"""Files in and out; the model's own answers are tested with trainers.predictor."""

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cluster import jobs, runs
from cluster.local import LocalCluster
from cluster.predict import BATCH_ROWS, _read_rows, check_output
from configs.errors import DataError, RecipeError
from configs.records import Ended
from tests.recipes import tiny_recipe
from tests.trainers.test_predictor import make_export
from trainers.predictor import Predictor


@pytest.mark.parametrize("output", ["out.csv", "out", "folder/"])
def test_output_has_a_format(output: str) -> None:
    with pytest.raises(RecipeError, match=r"\.parquet or \.jsonl"):
        check_output(output)


ROWS = [{"text": "1", "n": "007"}, {"text": "a, b", "n": ""}]
CSV = 'text,n\n1,007\n"a, b",\n'


@pytest.mark.parametrize(
    ("name", "data", "expected"),
    [
        ("in.csv", CSV.encode(), ROWS),
        ("in.tsv", b"text\tn\n1\t007\na, b\t\n", ROWS),
        ("in.csv.gz", gzip.compress(CSV.encode(), mtime=0), ROWS),
        ("in.json", json.dumps(ROWS).encode(), ROWS),
        (
            "in.jsonl",
            b'{"text": "x"}\n\n{"n": 2}\n',
            [{"text": "x", "n": None}, {"text": None, "n": 2}],
        ),
    ],
)
def test_rows_are_read_as_they_stand(
    tmp_path: Path, name: str, data: bytes, expected: list[dict[str, object]]
) -> None:
    (tmp_path / name).write_bytes(data)
    assert _read_rows(str(tmp_path / name)).to_pylist() == expected


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("in.csv", b"text\na,b\n"),
        ("in.csv", b"\xff\xfe"),
        ("in.json", b"{"),
        ("in.json", b"[1]"),
        ("in.jsonl", b"{}\nx\n"),
        ("in.csv.gz", b"no gzip"),
        ("in.txt", b"a"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(DataError, match=name):
        _read_rows(str(tmp_path / name))


@pytest.mark.slow
def test_rows_come_out_as_they_went_in(two_nodes: LocalCluster, tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path, name="seer", cluster={"num_workers": 2})
    runs.create_run(recipe.storage, recipe, "seer.01")
    make_export(tmp_path).rename(Path(recipe.storage) / "seer" / "export")
    texts = [f"the topic{n % 3}a of {n}" for n in range(BATCH_ROWS + 100)]
    pq.write_table(pa.table({"text": texts, "label": ["x"] * len(texts)}), tmp_path / "in.parquet")
    made = Predictor(str(Path(recipe.storage) / "seer" / "export"))({"text": texts})
    arguments = {"input": str(tmp_path / "in.parquet"), "output": str(tmp_path / "out.parquet")}
    job_id = jobs.submit(two_nodes.address, "predict", recipe, arguments)
    [*_, ended] = jobs.follow(two_nodes.address, job_id)
    assert isinstance(ended, Ended)
    assert (ended.exit_code, ended.rows) == (0, len(texts)), ended.message
    found = pq.read_table(tmp_path / "out.parquet").to_pylist()
    assert [row["text"] for row in found] == texts
    assert [row["predicted_label"] for row in found] == made["label"]
    assert [row["probability"] for row in found] == pytest.approx(made["probability"], abs=1e-5)
    assert {row["label"] for row in found} == {"x"}
