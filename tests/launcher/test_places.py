"""Storages asked side by side."""

import threading

from configs.errors import NotFoundError, StorageError
from launcher.places import list_places
from tests.launcher.fake_cluster import FakeCluster


def test_one_that_does_not_answer_hides_no_run_of_another():
    cluster, never = FakeCluster(), threading.Event()
    for place in ("a", "b"):
        cluster.add_run(place, f"of-{place}")

    def list_runs(place):
        if place == "asleep":
            never.wait(60)
        if place == "broken":
            raise StorageError("broken could not be listed: no network.")
        if place == "gone":
            raise NotFoundError("there is no folder gone")
        return cluster.list_runs(place)

    listed = list_places(["asleep", "a", "broken", "gone", "b"], list_runs, limit_s=0.5)
    never.set()
    assert [state.name for state in listed.states] == ["of-a", "of-b"]
    asleep, broken = listed.silent
    assert asleep == "asleep has not answered for 0 s: its runs are left out"
    assert broken == "the runs of broken are left out: broken could not be listed: no network"


def test_a_run_that_is_seen_twice_is_listed_once():
    cluster = FakeCluster()
    cluster.add_run("a")
    listed = list_places(["a", "a/"], lambda place: cluster.list_runs("a"))
    assert (len(listed.states), listed.silent) == (1, [])
