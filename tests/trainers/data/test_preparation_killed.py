"""A process that is killed in the middle of a preparation: the next one goes on and ends well."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.proofs import with_proofs
from tests.source_tree import ROOT
from tests.trainers.data import words
from tests.trainers.data.words import make_recipe, numbered_rows, write_lines
from trainers.data.plan import Plan, plan_preparation
from trainers.data.preparation import prepare_plan, run_here

NUM_BUCKETS = 16
LIMIT_S = 120
CHILD = """
import sys
from tests.trainers.data.test_preparation_killed import make_plan, words
from trainers.data.preparation import prepare_plan, run_here
from pathlib import Path
prepare_plan(make_plan(Path(sys.argv[1]), "killed"), run_here(words.WORDS))
"""


def make_plan(folder: Path, store: str) -> Plan:
    recipe = make_recipe(folder / "train.jsonl", data={"validation": "10%"})
    plan = plan_preparation(recipe, str(folder / store), tasks=words.WORDS)
    return plan.model_copy(update={"num_buckets": NUM_BUCKETS})


@pytest.mark.parametrize("stage", with_proofs("clean", "scatter", "encode"))
def test_a_killed_process_leaves_what_it_had_done(tmp_path: Path, stage: str) -> None:
    write_lines(tmp_path / "train.jsonl", numbered_rows(20_000))
    plan = make_plan(tmp_path, "killed")
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(tmp_path)], cwd=ROOT)
    limit = time.monotonic() + LIMIT_S
    while not list(Path(plan.work_dir).glob(f"done/{stage}-*.json")):
        assert time.monotonic() < limit, "the child did nothing"
        assert child.poll() is None, "the child ended"
        time.sleep(0.002)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert not Path(plan.data_dir).exists()
    assert not prepare_plan(plan, run_here(words.WORDS)).cached
    whole = make_plan(tmp_path, "whole")
    prepare_plan(whole, run_here(words.WORDS))
    assert {path.name: path.read_bytes() for path in Path(plan.data_dir).iterdir()} == {
        path.name: path.read_bytes() for path in Path(whole.data_dir).iterdir()
    }
    assert [path.name for path in Path(plan.data_dir).parent.iterdir()] == [plan.fingerprint]
