"""Drive one job on the cluster: `python -m cluster.driver VERB`, the order in the environment.

The driver alone decides what is worth another attempt. Its stdout is the job's log, which holds
records as JSON lines; what each verb does stands in verbs.py and finetuning.py.
"""

import json
import logging
import os
import signal
import sys
import time
import traceback
from collections.abc import Mapping
from contextlib import redirect_stdout
from typing import Literal, TextIO

from pydantic import BaseModel, ConfigDict, ValidationError

from cluster.secrets import masked_output, take_secrets
from configs.errors import STOPPED, THAW_ERRORS, RecipeError
from configs.records import Ended
from configs.schema import Recipe

JOB_VARIABLE = "THAW_JOB"


class JobOrder(BaseModel):
    """What the client asked for."""

    model_config = ConfigDict(frozen=True)

    verb: Literal["finetune", "prepare", "evaluate", "predict", "export", "stop", "doctor"]
    recipe: Recipe
    arguments: dict[str, str]
    job_id: str = ""
    owner: str = ""
    """Who asked for it."""


def main() -> int:
    """Do what the environment orders, say how it ended, give the exit code."""
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    log = sys.stdout
    try:
        order = read_order(os.environ)
    except RecipeError as error:
        log.write(ended_by(error).model_dump_json() + "\n")
        return error.exit_code
    secrets = order.recipe.cluster.secrets
    take_secrets(secrets)  # who needs them on which machine asks again, and says what is missing
    # Ray prints on stdout what happens to workers (ray 2.60); the records say it in our words.
    with masked_output(secrets), open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):
        ended = carry_out(order, log)
    return 0 if ended.state == "stopped" else ended.exit_code


def carry_out(order: JobOrder, log: TextIO) -> Ended:
    """Do what the order says; the record of the end is in the log when this returns."""
    try:
        if order.verb == "finetune":
            from cluster.finetuning import finetune

            return finetune(order, log)
        from cluster.verbs import VERBS

        return VERBS[order.verb](order, log)
    except KeyboardInterrupt:
        ended = ended_with("stopped", STOPPED, None, "Stopped from outside, at once")
    except Exception as error:
        ended = ended_by(error)
    log.write(ended.model_dump_json() + "\n")
    log.flush()
    return ended


def read_order(environment: Mapping[str, str]) -> JobOrder:
    """Read the order of this job from the environment; raises RecipeError for what is none."""
    try:
        order = JobOrder.model_validate_json(environment[JOB_VARIABLE])
    except ValidationError as error:
        first = error.errors()[0]
        key, told = ".".join(map(str, first["loc"])), first["msg"].splitlines()[0]
        raise RecipeError(
            f"The order of this job cannot be read: {key}: {told.removeprefix('Value error, ')}. "
            "Submit with the version of Thaw whose code the cluster has"
        ) from error
    ray_job = json.loads(environment.get("RAY_JOB_CONFIG_JSON_ENV_VAR", "{}"))
    job_id = ray_job.get("metadata", {}).get("job_submission_id", "")
    return order.model_copy(update={"job_id": job_id})


def ended_by(error: BaseException) -> Ended:
    """Say how a job ended that an error ended; what is not ours goes to the log with its trace."""
    if isinstance(error, THAW_ERRORS):
        return ended_with("failed", error.exit_code, type(error).__name__, str(error))
    from cluster.failures import classify

    failure = classify(error)
    if failure.error == "TrainingError":
        traceback.print_exception(error)
    return ended_with("failed", failure.exit_code, failure.error, failure.message)


def ended_with(
    state: Literal["failed", "stopped"], exit_code: int, error: str | None, message: str
) -> Ended:
    """Make the record of an end that reached nothing."""
    return Ended(
        time=time.time(),
        state=state,
        exit_code=exit_code,
        error=error,
        message=message,
        step=0,
        metrics={},
        rows=0,
    )


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # Libraries of the data path may abort an interpreter that exits (pyarrow 26); all is said.
    os._exit(code)
