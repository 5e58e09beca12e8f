"""Signs of causes."""

from cluster.evidence import Evidence, Sign

EVIDENCE = Evidence(error="StorageError", message="[Errno 28] No space left", job="beyond")


def test_sign_is_a_class_and_words_in_their_place() -> None:
    assert Sign(r"errno 28\b").holds(EVIDENCE)
    assert Sign(error="StorageError").holds(EVIDENCE)
    assert not Sign(r"errno 28", error="DataError").holds(EVIDENCE)
    assert not Sign(r"errno 28", where=("words",)).holds(EVIDENCE)
    assert not Sign(r"errno 2\b").holds(EVIDENCE)


def test_words_of_another_cause_anywhere_rule_it_out() -> None:
    assert not Sign(r"errno 28", unless="beyond").holds(EVIDENCE)
