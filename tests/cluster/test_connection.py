"""What the Jobs API answers, as sentences; a real one is asked in test_jobs."""

import socket

import pytest
import requests
from ray.exceptions import AuthenticationError
from ray.job_submission import JobSubmissionClient

from cluster.auth import PlainTokenWarning
from cluster.connection import connect, limited, refuse_old, sentences, submit_with_patience
from configs.errors import ClusterError, NotFoundError, RecipeError

HTTP = "Request failed with status code {}: {}."


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (AuthenticationError("Authentication required: x"), ClusterError, "asks for a token"),
        (AuthenticationError("Authentication failed: x"), ClusterError, "does not accept"),
        (ConnectionError("refused"), ClusterError, "No Ray dashboard answers at http://h:1"),
        (requests.exceptions.ReadTimeout("slow"), ClusterError, "does not answer: slow"),
        (RuntimeError(HTTP.format(404, "Job x does not exist")), NotFoundError, "no job x.01"),
        (RuntimeError(HTTP.format(500, "a\nlast line\n")), ClusterError, "refused: last line"),
    ],
)
def test_errors_become_sentences(
    error: Exception, kind: type[Exception], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", "some token")
    with pytest.raises(kind) as told, sentences("http://h:1", "x.01"):
        raise error
    assert words in str(told.value)


@pytest.mark.parametrize(
    ("found", "is_refused"),
    [("2.53.9", True), ("1.13.0", True), ("2.54.0", False), ("2.60.0", False), ("3.0.0", False)],
)
def test_ray_with_holes_is_refused(found: str, is_refused: bool) -> None:
    if not is_refused:
        refuse_old(found, "The cluster")
        return
    with pytest.raises(ClusterError, match=rf"The cluster runs Ray {found}.*Use Ray 2\.54"):
        refuse_old(found, "The cluster")


class FakeClient:
    """Takes jobs as the Jobs API does, with the answers it is told to give first."""

    def __init__(self, *answers: str, kind: type[Exception] = RuntimeError) -> None:
        self.answers = [*answers]
        self.kind = kind
        self.taken = {"run.01", "run.02"}

    def submit_job(self, *, submission_id: str, entrypoint: str) -> str:
        if self.answers:
            raise self.kind(self.answers.pop(0))
        if submission_id in self.taken:
            raise RuntimeError(f"Job with submission_id {submission_id} already exists.")
        return submission_id

    def list_jobs(self) -> list["FakeJob"]:
        return [FakeJob(one) for one in sorted(self.taken)]


class FakeJob:
    """A job of which only the id is asked."""

    def __init__(self, submission_id: str) -> None:
        self.submission_id = submission_id


def test_first_free_number_is_taken() -> None:
    assert submit_with_patience(FakeClient(), "run", entrypoint="true") == "run.03"
    assert submit_with_patience(FakeClient(), "other", entrypoint="true") == "other.01"


def test_agent_that_is_not_ready_is_waited_for() -> None:
    client = FakeClient("No available agent to submit job, please try again later.")
    assert submit_with_patience(client, "other", entrypoint="true") == "other.01"


def test_other_refusals_are_not_repeated() -> None:
    with pytest.raises(RuntimeError, match="bad runtime_env"):
        submit_with_patience(FakeClient("bad runtime_env", "again"), "run", entrypoint="true")


def test_folder_that_ray_does_not_take_is_told_in_its_words() -> None:
    client = FakeClient("Package size (600.00MiB) exceeds the limit.\nMore.", kind=ValueError)
    told = r"working_dir cannot be shipped: Package size .* the limit\. Take out what is not code"
    with pytest.raises(RecipeError, match=told):
        submit_with_patience(client, "run", entrypoint="true")


def test_token_that_leaves_this_machine_in_the_clear_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", "some token")
    address = "http://head.invalid:8265"
    told = f"the token of RAY_AUTH_TOKEN goes to {address} without encryption"
    with pytest.warns(PlainTokenWarning, match=told), pytest.raises(ClusterError):
        connect(address)
    with pytest.raises(ClusterError):
        connect("http://127.0.0.1:9")  # where a warning would be an error


def test_a_client_that_only_asks_gives_up_on_a_server_that_says_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = JobSubmissionClient.__new__(JobSubmissionClient)
        client._address = f"http://127.0.0.1:{server.getsockname()[1]}"
        client._cookies, client._headers, client._verify = None, None, True
        with pytest.raises(requests.exceptions.ReadTimeout):
            limited(client, 0.2).get_job_logs("one.01")
