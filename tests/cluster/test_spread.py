"""A preparation on all nodes makes the bits that one process makes."""

import shlex
import time
from pathlib import Path

import pytest

from cluster.connection import connect
from cluster.local import LocalCluster
from tests.recipes import tiny_recipe
from tests.tiny import make_csv
from trainers.data.preparation import prepare

ROOT = Path(__file__).parent.parent.parent
LIMIT_S = 180

pytestmark = pytest.mark.slow


def run_script(cluster: LocalCluster, argument: str) -> str:
    """Run spread_once as a job and give its log."""
    client = connect(cluster.address)
    job_id = client.submit_job(
        entrypoint=shlex.join(["python", "-m", "tests.cluster.spread_once", argument]),
        runtime_env={"env_vars": {"PYTHONPATH": str(ROOT)}},
    )
    limit = time.monotonic() + LIMIT_S
    while not client.get_job_status(job_id).is_terminal():
        assert time.monotonic() < limit, client.get_job_logs(job_id)
        time.sleep(0.3)
    return str(client.get_job_logs(job_id))


def test_bits_do_not_depend_on_who_prepares(two_nodes: LocalCluster, tmp_path: Path) -> None:
    more = [str(make_csv(tmp_path / f"more-{n}.csv", rows=40, seed=n)) for n in (5, 6)]
    recipe = tiny_recipe(tmp_path, data={"train": [str(tmp_path / "train.csv"), *more]})
    alone = prepare(recipe, str(tmp_path / "alone"))
    spread = recipe.model_copy(update={"storage": str(tmp_path / "spread")})
    log = run_script(two_nodes, spread.model_dump_json())
    [line] = [line for line in log.splitlines() if line.startswith("prepared ")]
    _, folder, cached = line.split()
    assert cached == "False"
    made = {path.name: path.read_bytes() for path in Path(folder).iterdir()}
    assert made == {path.name: path.read_bytes() for path in Path(alone.data_dir).iterdir()}
