"""Every node is asked; the two-node cluster answers in a job of test_secrets and test_doctor."""

import pytest
from ray.exceptions import GetTimeoutError, RayTaskError, WorkerCrashedError

from cluster.survey import ask_nodes, gather
from configs.errors import ClusterError


def ask() -> str:
    return "asked"


def test_no_node_gives_no_answer() -> None:
    assert ask_nodes([], ask) == {}


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (GetTimeoutError(), r"Node b does not answer within 5 s\. See whether it is overloaded"),
        (WorkerCrashedError(), r"Node b ended the process .* \(WorkerCrashedError\)\. See whether"),
        (
            RayTaskError("ask", "traceback", ValueError("no such\nthing")),
            r"Node b cannot answer: ValueError: no such\. See whether it has the same packages",
        ),
    ],
)
def test_node_that_does_not_answer_is_named_with_what_happened(error: Exception, said: str) -> None:
    def get(held: str | Exception, *, timeout: float) -> str:
        if isinstance(held, Exception):
            raise held
        return held

    assert gather({"a": "yes"}, get) == {"a": "yes"}
    with pytest.raises(ClusterError, match=said):
        gather({"a": "yes", "b": error}, get, limit_s=5)
