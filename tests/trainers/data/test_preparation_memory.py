"""Memory of a preparation does not grow with the rows."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.preparation_scale import Cost, write_rows
from tests.source_tree import ROOT
from tests.trainers.data import words
from tests.trainers.data.words import make_recipe
from trainers.data.plan import Plan, plan_preparation
from trainers.data.scratch import FLUSH_ROWS

pytestmark = pytest.mark.slow

ROWS_PER_BUCKET = FLUSH_ROWS // 4
LIMIT_MIB = 24
"""The 786,432 rows more are 69 MiB of text and as much of tokens. Both runs fill the buffers."""
CHILD = """
import dataclasses, json, sys
from pathlib import Path
from benchmarks.preparation_scale import cost_of
from tests.trainers.data.test_preparation_memory import make_plan, words
from trainers.data.preparation import run_here
plan = make_plan(Path(sys.argv[1]), int(sys.argv[2]))
print(json.dumps(dataclasses.asdict(cost_of(plan, run_here(words.WORDS)))))
"""


def make_plan(folder: Path, num_buckets: int) -> Plan:
    data: dict[str, Any] = {"validation": "5%", "shard_rows": 8192, "split": {"by": "stratified"}}
    recipe = make_recipe(folder / "train.csv", data=data)
    plan = plan_preparation(recipe, str(folder / "store"), tasks=words.WORDS)
    return plan.model_copy(update={"num_buckets": num_buckets})


def cost_in_a_child(folder: Path, num_buckets: int) -> Cost:
    folder.mkdir()
    write_rows(folder / "train.csv", ROWS_PER_BUCKET * num_buckets)
    command = [sys.executable, "-c", CHILD, str(folder), str(num_buckets)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True)
    return Cost(**json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.proof
def test_four_times_the_rows_need_the_same_memory(tmp_path: Path) -> None:
    few, many = (cost_in_a_child(tmp_path / str(count), count) for count in (8, 32))
    assert (few.rows, many.rows) == (2 * FLUSH_ROWS, 8 * FLUSH_ROWS)
    grown = [cost.peak_mib - cost.before_mib for cost in (few, many)]
    assert grown[1] - grown[0] < LIMIT_MIB, (few, many)
