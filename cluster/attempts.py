"""Carry out one attempt with Ray Train and tell how it ended; who tries again is driver.py."""

import shutil
import tempfile
import threading
import time
import uuid
from collections.abc import Callable

from ray.train import RunConfig
from ray.train.v2.api.config import FailureConfig, ScalingConfig
from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer

from cluster.failures import Failure, classify
from cluster.meeting import MeetingConfig
from cluster.orders import Orders, read_outcome
from cluster.preflight import resources_per_worker
from cluster.worker import read_hosts, work
from configs.records import Ended

POLL_S = 0.05
CONTROLLER_FAILURES = 2


class Fit:
    """One run of Ray Train in a thread, so that the driver can watch records meanwhile."""

    def __init__(self, orders: Orders) -> None:
        self._orders = orders
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._fit, name="fit", daemon=True)
        self._thread.start()

    def is_over(self) -> bool:
        """Say whether Ray Train has returned."""
        return not self._thread.is_alive()

    def wait(self, limit_s: float) -> None:
        """Wait for Ray Train to return, but not for ever."""
        self._thread.join(limit_s)

    def failure(self) -> Failure:
        """Judge what ended it."""
        if self._error is None:
            return Failure(False, 4, "ClusterError", "the workers ended without saying how")
        return classify(self._error, read_hosts(self._orders.logs))

    def _fit(self) -> None:
        # Ray's own records of an attempt are an index that nobody reads: the run directory is the
        # truth. A name that is used once cannot meet the remains of another attempt.
        folder = tempfile.mkdtemp(prefix="thaw-ray-train-")
        try:
            build_trainer(self._orders, folder).fit()
        except Exception as error:
            self._error = error
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def run_attempt(orders: Orders, on_poll: Callable[[], None]) -> Ended | Failure:
    """Run one attempt to its end, calling `on_poll` often.

    What rank 0 wrote down counts more than how its process ended: pyarrow may abort a process at
    its exit, after all work is done. Returns as soon as that is known; Ray clears up meanwhile.
    """
    fit = Fit(orders)
    while True:
        over = fit.is_over()
        outcome = read_outcome(orders)
        on_poll()
        if outcome is not None:
            return outcome
        if over:
            return fit.failure()
        time.sleep(POLL_S)


def build_trainer(orders: Orders, folder: str) -> DataParallelTrainer:
    """Build the trainer of one attempt, without retries of its own.

    Ray's TorchTrainer is this class with TorchConfig for a backend, which imports torch in the
    driver (ray 2.60). The workers form the same gloo or nccl group themselves; see meeting.py.
    """
    asked = orders.recipe.cluster
    return DataParallelTrainer(
        work,
        train_loop_config={"orders": orders.model_dump_json()},
        backend_config=MeetingConfig(),
        scaling_config=ScalingConfig(
            num_workers=asked.num_workers,
            use_gpu=asked.gpus_per_worker > 0,
            resources_per_worker=resources_per_worker(asked),
            placement_strategy=asked.placement,
        ),
        run_config=RunConfig(
            name=f"{orders.recipe.name}-{orders.label}-{uuid.uuid4().hex[:8]}",
            storage_path=folder,
            failure_config=FailureConfig(
                max_failures=0, controller_failure_limit=CONTROLLER_FAILURES
            ),
        ),
    )
