"""Carry out one attempt with Ray Train and tell how it ended; who tries again is driver.py."""

import logging
import shutil
import tempfile
import threading
import time
import uuid
from collections.abc import Callable

import ray
from ray._raylet import PlacementGroupID
from ray.train import RunConfig
from ray.train.v2._internal.callbacks import DatasetsCallback
from ray.train.v2._internal.callbacks.placement_group_callback import PlacementGroupCleanerCallback
from ray.train.v2.api.callback import RayTrainCallback
from ray.train.v2.api.config import FailureConfig, ScalingConfig
from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer
from ray.util.placement_group import PlacementGroup, remove_placement_group

from cluster import machines
from cluster.aftermath import keep_aftermath
from cluster.failures import Failure, classify
from cluster.hangs import EndWatch, read_hang
from cluster.meeting import MeetingConfig
from cluster.orders import Orders, read_outcome
from cluster.preflight import resources_per_worker
from cluster.worker import read_hosts, work
from configs.errors import StorageError
from configs.records import Ended

LOG = logging.getLogger(__name__)
POLL_S = 0.05
GONE_POLL_S = 1.0
CLEAR_UP_LIMIT_S = 15.0
CONTROLLER_FAILURES = 2
STATE_LIMIT_S = 10


class Fit:
    """One run of Ray Train in a thread, so that the driver can watch records meanwhile."""

    def __init__(self, orders: Orders) -> None:
        self.orders = orders
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._fit, name="fit", daemon=True)
        self._thread.start()

    def is_over(self) -> bool:
        """Say whether Ray Train has returned."""
        return not self._thread.is_alive()

    def wait(self) -> None:
        """Wait until Ray Train has ended its processes, but not for ever."""
        self._thread.join(CLEAR_UP_LIMIT_S)

    def failure(self) -> Failure:
        """Judge what ended it, and keep what is seen of it now."""
        failure = self._judged()
        keep_aftermath(self.orders.logs, failure, self._error, ray.nodes())
        return failure

    def _judged(self) -> Failure:
        if (hang := read_hang(self.orders.logs)) is not None:
            return hang
        if self._error is None:
            return Failure(False, 4, "ClusterError", "the workers ended without saying how")
        return classify(self._error, read_hosts(self.orders.logs))

    def _fit(self) -> None:
        # Ray's own records of an attempt are an index that nobody reads: the run directory is the
        # truth. A name that is used once cannot meet the remains of another attempt. What a driver
        # that is ended leaves behind goes with the session of the cluster.
        folder = tempfile.mkdtemp(prefix="thaw-", dir=machines.session_folder())
        try:
            build_trainer(self.orders, folder).fit()
        except Exception as error:
            self._error = error
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def watch(fit: Fit, on_poll: Callable[[], Failure | None]) -> Ended | Failure:
    """Watch one attempt to its end, calling `on_poll` often, which may say that it has failed.

    What rank 0 wrote down counts more than how its process ended: pyarrow may abort a process at
    its exit, after all work is done. Returns as soon as that is known; Ray clears up meanwhile,
    and `fit.wait` waits for it.
    """
    ends = EndWatch(fit.orders.logs)
    while True:
        over = fit.is_over()
        outcome = failure = None
        try:
            outcome = read_outcome(fit.orders)
            failure = on_poll()
        except StorageError as error:
            # The workers end the attempt if it stays away.
            LOG.warning("what the workers write cannot be read now: %s", error)
            time.sleep(GONE_POLL_S)
        if outcome is not None:
            return outcome
        if failure is not None:
            return failure
        if over:
            return fit.failure()
        if (hang := ends.overdue()) is not None:
            return hang
        time.sleep(POLL_S)


class Trainer(DataParallelTrainer):
    """Ray Train without two of its helpers, each a process that imports for two seconds.

    One deals out Ray Data sets, which we have none of. The other frees the workers' room when the
    controller dies; `free_room` does that where another attempt follows.
    """

    def _create_default_callbacks(self) -> list[RayTrainCallback]:
        left_out = (DatasetsCallback, PlacementGroupCleanerCallback)
        callbacks = super()._create_default_callbacks()
        return [callback for callback in callbacks if not isinstance(callback, left_out)]


def free_room() -> None:
    """Give back the room of workers whose controller died; no attempt of this job may be on."""
    from ray.util.state import list_placement_groups
    from ray.util.state.exception import RayStateApiException

    job_id = ray.get_runtime_context().get_job_id()
    try:
        groups = list_placement_groups(
            filters=[("creator_job_id", "=", job_id), ("state", "!=", "REMOVED")],
            timeout=STATE_LIMIT_S,
        )
    except RayStateApiException as error:
        LOG.warning("it is not known how much room is still held: %s", error)
        return
    for group in groups:
        found = PlacementGroupID(bytes.fromhex(group.placement_group_id))
        remove_placement_group(PlacementGroup(found))


def build_trainer(orders: Orders, folder: str) -> Trainer:
    """Build the trainer of one attempt, without retries of its own.

    Ray's TorchTrainer is the same with TorchConfig for a backend, which imports torch in the
    driver (ray 2.60). The workers form the same gloo or nccl group themselves; see meeting.py.
    """
    asked = orders.recipe.cluster
    return Trainer(
        work,
        train_loop_config={"orders": orders.model_dump_json()},
        backend_config=MeetingConfig(),
        scaling_config=ScalingConfig(
            num_workers=orders.num_workers,
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
