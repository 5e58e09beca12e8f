"""Which faults are worth another attempt; errors as Ray Train wraps them (ray 2.60)."""

import pytest
from ray.exceptions import ActorDiedError, OutOfMemoryError
from ray.train.v2._internal.exceptions import (
    UserExceptionWithTraceback,
    WorkerGroupStartupTimeoutError,
    WorkerHealthCheckFailedError,
)
from ray.train.v2.api.exceptions import ControllerError, WorkerGroupError

from cluster.failures import Failure, classify
from configs.errors import THAW_ERRORS, DataError, HangError, TrainingError

CLOSED = RuntimeError("[gloo/transport/tcp/pair.cc:547] Connection closed by peer [127.0.0.3]:1")


def workers(**failures: BaseException) -> WorkerGroupError:
    return WorkerGroupError("", {int(rank[1:]): error for rank, error in failures.items()})


def died(error: Exception | None = None) -> WorkerHealthCheckFailedError:
    return WorkerHealthCheckFailedError("health check failed", error or ActorDiedError())


def raised(error: Exception) -> UserExceptionWithTraceback:
    return UserExceptionWithTraceback(error, traceback_str="")


@pytest.mark.parametrize("kind", THAW_ERRORS)
def test_errors_of_ours_are_final_with_their_class_and_code(kind: type[Exception]) -> None:
    failure = classify(workers(r1=raised(kind("what, why, do"))))
    code = {error: error.exit_code for error in THAW_ERRORS}[kind]
    assert failure == Failure(True, code, kind.__name__, "what, why, do")
    assert type(failure.as_error()) is kind


def test_dead_worker_is_named_with_its_node() -> None:
    failure = classify(workers(r0=raised(CLOSED), r1=died()), ["10.0.0.1", "10.0.0.2"])
    assert failure == Failure(False, 4, "ClusterError", "worker 1 on 10.0.0.2 died")


def test_worker_without_memory_is_named() -> None:
    failure = classify(workers(r0=died(OutOfMemoryError("killed due to memory pressure"))))
    assert not failure.final
    assert failure.message == "worker 0 was ended because its node ran out of memory"


def test_closed_connection_alone_is_retried() -> None:
    failure = classify(workers(r0=raised(CLOSED)))
    assert not failure.final
    assert "lost the connection" in failure.message


TOLD_LOOPBACK = RuntimeError(
    "Gloo connectFullMesh failed with [gloo/transport/tcp/pair.cc:155] connect [127.0.0.1]:5217: "
    "Connection refused, remote=[127.0.0.1]:5217"
)


def test_hosts_that_tell_a_loopback_address_are_not_tried_again() -> None:
    failure = classify(workers(r0=raised(TOLD_LOOPBACK)), ["10.88.0.2", "10.88.0.3"])
    assert (failure.final, failure.exit_code) == (True, 4)
    assert "one of 10.88.0.2, 10.88.0.3 told the others a loopback address" in failure.message
    assert "GLOO_SOCKET_IFNAME" in failure.message


def test_a_loopback_address_between_nodes_of_one_machine_is_tried_again() -> None:
    assert not classify(workers(r0=raised(TOLD_LOOPBACK)), ["127.0.0.2", "127.0.0.3"]).final


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[gloo/transport/tcp/device.cc:83] Unable to find address for: eth9", "eth9"),
        ("NCCL error: Bootstrap : no socket interface found", "NCCL_SOCKET_IFNAME"),
    ],
)
def test_an_interface_that_is_not_there_is_not_tried_again(text: str, named: str) -> None:
    failure = classify(workers(r0=raised(CLOSED), r1=raised(RuntimeError(text))), ["10.0.0.4"])
    assert (failure.final, failure.exit_code) == (True, 4)
    assert f"no network interface for {named} is on one of 10.0.0.4" in failure.message


def test_fault_of_one_rank_counts_more_than_what_the_others_saw_of_it() -> None:
    failure = classify(workers(r0=raised(CLOSED), r1=raised(ValueError("no such label"))))
    assert failure == Failure(True, 1, "TrainingError", "ValueError: no such label")


def test_data_error_counts_more_than_a_death_that_followed() -> None:
    failure = classify(workers(r0=died(), r1=raised(DataError("row 3"))))
    assert (failure.final, failure.error) == (True, "DataError")


def test_hang_of_those_who_wait_for_a_dead_worker_is_not_the_reason() -> None:
    failure = classify(workers(r0=raised(HangError("waited 600 s")), r1=died()))
    assert not failure.final
    assert failure.message == "worker 1 died"


def test_hang_without_a_death_is_final() -> None:
    assert classify(workers(r0=raised(HangError("waited")))).exit_code == HangError.exit_code


@pytest.mark.parametrize(
    ("failure", "may_help"),
    [
        (workers(r0=raised(TrainingError("rank 0 ran out of memory (bad alloc). By"))), True),
        (workers(r0=raised(RuntimeError("CUDA out of memory. Tried to allocate"))), True),
        (workers(r0=raised(MemoryError())), True),
        (workers(r0=died(OutOfMemoryError("killed due to memory pressure"))), True),
        (workers(r0=raised(TrainingError("the loss is nan"))), False),
        (workers(r0=raised(DataError("column out of memory has no label"))), False),
    ],
)
def test_what_less_memory_may_help(failure: WorkerGroupError, may_help: bool) -> None:
    assert classify(failure).out_of_memory == may_help


def test_memory_of_the_model_is_explained() -> None:
    failure = classify(workers(r0=raised(RuntimeError("CUDA out of memory. Tried to allocate"))))
    assert failure.final
    assert "batch.microbatch_size" in failure.message


def test_controller_is_retried() -> None:
    assert not classify(ControllerError(WorkerGroupStartupTimeoutError(4))).final
    assert not classify(ActorDiedError()).final


def test_faults_of_the_code_are_final() -> None:
    assert classify(KeyError("x")) == Failure(True, 1, "TrainingError", "KeyError: 'x'")
