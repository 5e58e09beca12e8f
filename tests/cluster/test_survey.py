"""Every node is asked; the two-node cluster answers in a job of test_secrets and test_doctor."""

from cluster.survey import ask_nodes


def ask() -> str:
    return "asked"


def test_no_node_gives_no_answer() -> None:
    assert ask_nodes([], ask) == {}
