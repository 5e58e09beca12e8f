"""What may be the name of a run, of a job or of a file in a manifest; all of them become paths."""

import re
from typing import Annotated

from pydantic import AfterValidator

from configs.errors import RecipeError

RUN_NAME = re.compile(r"[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?")
JOB_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,94}[a-z0-9]")
"""The name of a run, a verb and a number, with dots between."""
FILE_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"
"""A file or folder right beside the manifest that names it."""
SHOWN_CHARACTERS = 80


def is_run_name(name: str) -> bool:
    """Say whether a text can be the name of a run: a folder's name that leads nowhere else."""
    return RUN_NAME.fullmatch(name) is not None and ".." not in name


def run_name_problem(name: str) -> str:
    """Say what is wrong with the name of a run."""
    shown = repr(name if len(name) <= SHOWN_CHARACTERS else f"{name[:SHOWN_CHARACTERS]}...")
    shown = shown.replace("; ", ";")  # which is between two problems of one section
    return (
        f"{shown} is not a run name. Use 1 to 63 lower case letters, digits, and . _ - between "
        "them, no two dots in a row"
    )


def check_run_name(name: str) -> str:
    """Give a name back; raises RecipeError for what is none."""
    if not is_run_name(name):
        raise RecipeError(run_name_problem(name))
    return name


def checked_job_id(job_id: str) -> str:
    """Give a job's id back; raises RecipeError for what cannot be one of ours."""
    if not JOB_ID.fullmatch(job_id) or ".." in job_id:
        raise RecipeError(
            f"{job_id[:SHOWN_CHARACTERS]!r} is not the id of a job, such as NAME.01. "
            "See `thaw describe NAME`"
        )
    return job_id


def _checked_run_name(name: str) -> str:
    if not is_run_name(name):
        raise ValueError(run_name_problem(name))
    return name


def _checked_job_id(job_id: str) -> str:
    try:
        return checked_job_id(job_id)
    except RecipeError as error:
        raise ValueError(str(error)) from error


RunName = Annotated[str, AfterValidator(_checked_run_name)]
JobId = Annotated[str, AfterValidator(_checked_job_id)]
