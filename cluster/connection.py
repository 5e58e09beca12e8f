"""Connect to the Jobs API and turn its errors into sentences; what is asked stands in jobs.py."""

import logging
import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_exponential

from cluster.auth import PlainTokenWarning, find_token, goes_in_the_clear
from cluster.proxies import go_past_proxies, through_proxy
from configs.errors import ClusterError, NotFoundError, RecipeError
from configs.names import checked_job_id
from trainers.imports import uncollected

if TYPE_CHECKING:
    from ray.job_submission import JobSubmissionClient

MINIMUM_RAY = (2, 54)
AGENT_LIMIT_S = 20.0
CHATTERERS = ("ray.dashboard.modules.dashboard_sdk", "ray._private.runtime_env.packaging")
OVERRIDES = ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS")


def connect(address: str) -> "JobSubmissionClient":
    """Connect to a dashboard; raises ClusterError when it does not answer, refuses us or is old."""
    refuse_old(version("ray"), "This machine")
    go_past_proxies(address)
    token = find_token(address)
    headers = {"Authorization": f"Bearer {token.value}"} if token else None
    if token is not None and goes_in_the_clear(address):
        warnings.warn(
            f"the token of {token.origin} goes to {address} without encryption: whoever is on the "
            "way can run code as you. Use https, or a tunnel to the loopback",
            PlainTokenWarning,
            stacklevel=2,
        )
    with uncollected():
        from ray.job_submission import JobSubmissionClient

    for name in CHATTERERS:
        logging.getLogger(name).setLevel(logging.ERROR)
    with sentences(address), _own_address():
        client = JobSubmissionClient(address, headers=headers)
    refuse_old(str(client._server_ray_version), f"The cluster at {address}")
    return client


def limited(client: "JobSubmissionClient", seconds: float) -> "JobSubmissionClient":
    """Let each request of a client that only asks end after that many seconds without an answer.

    Ray's client waits without end (ray 2.60), so a cut line looks like a quiet job. Not for what
    changes something: it may have been done though no answer came.
    """
    vars(client)["_do_request"] = partial(client._do_request, timeout=seconds)
    return client


def is_old(found: str) -> bool:
    """Say whether a version of Ray has holes through which others can run code.

    CVE-2025-62593 and CVE-2026-27482, closed in 2.54.
    """
    return tuple(int(part) for part in re.findall(r"\d+", found)[:2]) < MINIMUM_RAY


def refuse_old(found: str, where: str) -> None:
    """Raise ClusterError for a version of Ray that is not safe to be used."""
    if is_old(found):
        raise ClusterError(
            f"{where} runs Ray {found}, through which others can run code (CVE-2025-62593, "
            f"CVE-2026-27482). Use Ray {MINIMUM_RAY[0]}.{MINIMUM_RAY[1]} or newer"
        )


@contextmanager
def sentences(address: str, job_id: str | None = None) -> Iterator[None]:
    """Turn what the Jobs API raises into ClusterError or NotFoundError, one sentence each."""
    import requests
    from ray.exceptions import AuthenticationError

    if job_id is not None:
        checked_job_id(job_id)  # it becomes a part of a URL, which the server takes as it is
    try:
        yield
    except AuthenticationError as error:
        raise ClusterError(_refused(address, str(error))) from error
    except (ConnectionError, requests.exceptions.ConnectionError) as error:
        raise ClusterError(
            f"No Ray dashboard answers at {address}. Check the address, or start a cluster with "
            f"`thaw cluster up`{_proxy(address)}"
        ) from error
    except requests.exceptions.RequestException as error:
        raise ClusterError(
            f"The cluster at {address} does not answer: {error}{_proxy(address)}"
        ) from error
    except RuntimeError as error:
        raise _from_answer(address, job_id, str(error)) from error


def submit_with_patience(client: "JobSubmissionClient", prefix: str, **request: Any) -> str:
    """Submit under the first free number of a prefix.

    The job agent of a cluster that has just started may not be ready; it is waited for.
    """
    attempts = Retrying(
        stop=stop_after_delay(AGENT_LIMIT_S),
        wait=wait_exponential(multiplier=0.2, max=2),
        retry=retry_if_exception(lambda error: "No available agent" in str(error)),
        reraise=True,
    )
    number = 1
    while True:
        job_id = checked_job_id(f"{prefix}.{number:02d}")
        try:
            return str(attempts(client.submit_job, submission_id=job_id, **request))
        except ValueError as error:  # what Ray says of a folder that is too large to be uploaded
            raise RecipeError(
                f"cluster.working_dir cannot be shipped: {str(error).splitlines()[0].rstrip('.')}. "
                "Take out what is not code, or name it in a .thawignore"
            ) from error
        except RuntimeError as error:
            if "already exists" not in str(error):
                raise
        taken = {job.submission_id for job in client.list_jobs()}
        number += 1
        while f"{prefix}.{number:02d}" in taken:
            number += 1


@contextmanager
def _own_address() -> Iterator[None]:
    """Hide the variables by which Ray would replace the address that was chosen."""
    hidden = {name: os.environ.pop(name) for name in OVERRIDES if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(hidden)


def _refused(address: str, answer: str) -> str:
    """Say which token was refused, or that there was none, and where to put the right one."""
    token = find_token(address)
    where = (
        "Put the token of this cluster (`ray get-auth-token` on its head node) into a file of mode "
        "600 and set RAY_AUTH_TOKEN_PATH to it"
    )
    if token is None or answer.startswith("Authentication required"):
        said = f"The cluster at {address} asks for a token (401) and none was found. {where}"
    else:
        said = (
            f"The cluster at {address} does not accept the token of {token.origin} (403). {where}"
        )
    return said + _proxy(address)


def _proxy(address: str) -> str:
    """Give the end of one sentence and another one where a proxy was asked, else nothing."""
    through = through_proxy(address)
    return f".{through}" if through else ""


def _from_answer(address: str, job_id: str | None, answer: str) -> Exception:
    if job_id is not None and ("404" in answer or "does not exist" in answer):
        return NotFoundError(f"The cluster at {address} knows no job {job_id}. See `thaw list`")
    lines = [line.strip() for line in answer.splitlines() if line.strip(" .")]
    return ClusterError(f"The cluster at {address} refused: {lines[-1] if lines else 'no reason'}")
