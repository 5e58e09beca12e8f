"""Where a run is."""

import pytest

from configs.errors import ClusterError, NotFoundError, RecipeError
from configs.load import load_recipe
from launcher.whereabouts import Whereabouts, absolute, absolute_storage
from tests.launcher.fake_cluster import ADDRESS, write_recipe


def where(cluster, address=None, storage=None):
    return Whereabouts(cluster.client().backend, address, storage)


def test_what_is_told_comes_before_what_is_remembered(cluster, tmp_path):
    cluster.add_run("s3://bucket/runs")
    assert where(cluster).storage_of("small") == "s3://bucket/runs"
    assert where(cluster, storage="here").storage_of("small") == "here"
    assert where(cluster).storage_of("absent") == str(tmp_path / "runs")
    assert where(cluster).located("small").address == ADDRESS
    assert where(cluster, "http://told:1").located("small").address == "http://told:1"
    assert where(cluster, "http://told:1").address_of_run("small") == "http://told:1"


def test_somebody_elses_run_is_found_by_its_directory(cluster, tmp_path, monkeypatch):
    monkeypatch.setenv("THAW_ADDRESS", "http://environment:1")
    cluster.add_run(str(tmp_path / "runs"), job_ids=("small.01", "small.02"))
    cluster.located.clear()
    located = where(cluster).located("small")
    assert (located.address, located.job_id) == ("http://environment:1", "small.02")
    with pytest.raises(NotFoundError):
        where(cluster).located("absent")
    cluster.add_run(str(tmp_path / "runs"), job_ids=())
    cluster.located.clear()
    with pytest.raises(NotFoundError, match="no job yet"):
        where(cluster).located("small")


def test_an_ended_run_with_a_newer_job_is_live(cluster, tmp_path):
    state = cluster.add_run("runs", state="stopped")
    assert not where(cluster).is_live(state)
    newer = cluster.located["small"].model_copy(update={"job_id": "small.02"})
    cluster.located["small"] = newer
    assert where(cluster).is_live(state)
    # Nobody can say how the job stands: the state in the directory counts.
    assert not where(cluster, "http://nowhere:1").is_live(state)


def test_absolute_leaves_remote_addresses_alone(tmp_path):
    assert absolute("a/../b") == str(tmp_path / "b")
    assert absolute("s3://bucket/../x") == "s3://bucket/../x"


THEIRS = "http://somebody:8265"


@pytest.fixture
def theirs(tmp_path, monkeypatch):
    """Give a recipe that names a cluster, where this person has a token for another."""
    monkeypatch.setenv("RAY_AUTH_TOKEN", "a-token-of-mine")
    return load_recipe(write_recipe(tmp_path), [f"cluster.address={THEIRS}"])


def test_address_of_a_recipe_alone_gets_no_token(cluster, theirs):
    with pytest.raises(ClusterError) as told:
        where(cluster).address_of(theirs)
    assert str(told.value) == (
        f"Nobody but the recipe names the cluster {THEIRS}, and it would get the token of "
        f"RAY_AUTH_TOKEN. If that is meant, say so once with --address {THEIRS}"
    )


def test_address_that_is_told_used_or_in_the_environment_is_admitted(cluster, theirs, monkeypatch):
    assert where(cluster, THEIRS).address_of(theirs) == THEIRS
    monkeypatch.setenv("THAW_ADDRESS", f"{THEIRS}/")
    assert where(cluster).address_of(theirs) == THEIRS
    monkeypatch.delenv("THAW_ADDRESS")
    cluster.add_run("runs", "other")
    used = cluster.located["other"].model_copy(update={"address": THEIRS})
    cluster.located["other"] = used.model_copy(update={"confirmed": False})
    with pytest.raises(ClusterError, match="Nobody but the recipe"):
        where(cluster).address_of(theirs)
    with pytest.raises(ClusterError, match="Nobody but the recipe"):
        where(cluster).located("other")
    cluster.located["other"] = used
    assert where(cluster).address_of(theirs) == THEIRS


def test_person_at_a_terminal_is_asked_once(cluster, theirs):
    asked = []
    answers = iter([False, True])

    def confirm(question):
        asked.append(question)
        return next(answers)

    place = Whereabouts(cluster.client().backend, None, None, confirm)
    with pytest.raises(ClusterError):
        place.address_of(theirs)
    assert [place.address_of(theirs) for _ in range(2)] == [THEIRS, THEIRS]
    question = f"Nobody but the recipe names the cluster {THEIRS}. Send it RAY_AUTH_TOKEN?"
    assert asked == [question, question]


def test_without_a_token_there_is_nothing_to_ask(cluster, theirs, monkeypatch):
    monkeypatch.delenv("RAY_AUTH_TOKEN")
    monkeypatch.setenv("HOME", str(theirs.storage))  # where no .ray/auth_token is
    assert where(cluster).address_of(theirs) == THEIRS
    assert not where(cluster).is_confirmed(THEIRS)


def test_a_storage_that_is_no_folder_here_is_refused(cluster, tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    (tmp_path / "system").symlink_to("/proc")
    for name, said in (
        ("file", "is no folder"),
        ("file/runs", "is no folder"),
        ("link", "leads nowhere"),
        ("system", "place of the system"),
    ):
        with pytest.raises(RecipeError, match=said):
            absolute_storage(str(tmp_path / name))
        with pytest.raises(RecipeError, match=said):
            cluster.client(storage=str(tmp_path / name))
        recipe = load_recipe(write_recipe(tmp_path), [f"storage={tmp_path / name}"])
        for verb in (cluster.client().submit, cluster.client().prepare):
            with pytest.raises(RecipeError, match=said):
                verb(recipe)
    assert absolute_storage(str(tmp_path / "new" / "runs")) == str(tmp_path / "new" / "runs")
    assert cluster.submitted == []


@pytest.mark.parametrize("address", ["s3://", "", "/", "$RUNS", "s3:/x", "a\0b"])
def test_a_storage_that_is_no_address_is_refused(address, cluster):
    with pytest.raises(RecipeError):
        cluster.client(storage=address)
    with pytest.raises(RecipeError):
        absolute(address)
