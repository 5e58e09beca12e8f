"""What a job can do besides fine-tuning, on the two-node cluster."""

import io
from pathlib import Path

import pytest

from cluster import jobs, runs
from cluster.driver import JobOrder
from cluster.jobs import Verb
from cluster.local import LocalCluster
from cluster.verbs import VERBS
from configs.errors import NotFoundError
from configs.records import DataReady, Ended, Note, Preparing, Record, Step
from configs.schema import Recipe
from tests.recipes import tiny_recipe
from tests.tiny import make_csv

ROOT = Path(__file__).parent.parent.parent
FAKE = "tests.cluster.fake_training"

pytestmark = pytest.mark.slow


def test_verbs_on_a_run_without_data_are_refused_before_anybody_waits(tmp_path: Path) -> None:
    given = tiny_recipe(tmp_path, name="early", epochs=1)
    runs.create_run(given.storage, given, "early.01")
    order = JobOrder(verb="evaluate", recipe=given, arguments={})
    with pytest.raises(NotFoundError, match=r"Run early has no prepared data yet: it is queued"):
        VERBS["evaluate"](order, io.StringIO())


def run(cluster: LocalCluster, verb: Verb, recipe: Recipe, **arguments: str) -> list[Record | str]:
    """Give what a job says but how far it is, which depends on how fast the machine is."""
    job_id = jobs.submit(cluster.address, verb, recipe, arguments)
    entries = jobs.follow(cluster.address, job_id)
    return [entry for entry in entries if not isinstance(entry, Preparing)]


def last(entries: list[Record | str]) -> Ended:
    assert isinstance(entries[-1], Ended)
    return entries[-1]


@pytest.mark.proof
def test_way_of_a_run_after_its_end(two_nodes: LocalCluster, tmp_path: Path) -> None:
    cluster = {"num_workers": 2, "env": {"PYTHONPATH": str(ROOT)}}
    recipe = tiny_recipe(tmp_path, name="way", max_steps=2, cluster=cluster)
    first, ended = run(two_nodes, "prepare", recipe)
    assert isinstance(first, DataReady)
    assert isinstance(ended, Ended)
    assert (first.cached, ended.exit_code) == (False, 0)
    data, *_, ended = run(two_nodes, "finetune", recipe, function=f"{FAKE}:finetune")
    assert isinstance(data, DataReady)
    assert isinstance(ended, Ended)
    assert (data.cached, data.path, ended.state) == (True, first.path, "succeeded")
    records = [*runs.read_records(recipe.storage, "way")]

    file = str(make_csv(tmp_path / "other.csv", rows=9, seed=7))
    (tmp_path / "train.csv").rename(tmp_path / "away.csv")  # nobody needs it again
    others = run(two_nodes, "evaluate", recipe, function=f"{FAKE}:evaluate", data=file)
    assert isinstance(others[0], DataReady)
    assert others[0].splits == {file: others[0].rows_in} == {file: 9}
    assert isinstance(others[1], Note)
    assert (others[1].event, others[1].text) == ("placed", "evaluate runs on 2 workers")
    assert isinstance(others[2], Step)
    assert last(others).message == f"test of {others[0].path} as {file}, run on {first.path}"
    assert others[0].path != first.path
    # What comes after a run goes to files of its own: the run's records stay what they were.
    assert [*runs.read_records(recipe.storage, "way")] == records
    assert {"evaluate-01/rank-0", "evaluate-01/rank-1"} <= {*runs.log_files(recipe.storage, "way")}

    # The commits of the fake are none that could be loaded.
    refused = last(run(two_nodes, "predict", recipe, input="in.csv", output="out.jsonl"))
    assert (refused.error, refused.exit_code) == ("CheckpointError", 6)
    assert last(run(two_nodes, "stop", recipe)).exit_code == 0
    assert runs.stop_requested(recipe.storage, "way")
