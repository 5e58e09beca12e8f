"""The errors a person can act on; who raises them and who prints them stands elsewhere.

Each class says who acts and carries the exit code of the command line. Every error holds one
message string, so that it survives pickling between processes.
"""

import re


class RecipeError(Exception):
    """The recipe or the command line asks for something that cannot be (the user acts)."""

    exit_code = 2


class DataError(Exception):
    """The data cannot be used as asked (the user acts)."""

    exit_code = 3


class ClusterError(Exception):
    """The cluster is unreachable, refuses us or cannot carry the run (the operator acts)."""

    exit_code = 4


class StorageError(Exception):
    """The storage cannot be read or written (the operator acts)."""

    exit_code = 5


class CheckpointError(Exception):
    """No commit of the run can be loaded (the operator acts)."""

    exit_code = 6


class HangError(Exception):
    """Something waited longer than it may (the operator acts)."""

    exit_code = 7


class NotFoundError(Exception):
    """A run, a job or a file that was named does not exist (the user acts)."""

    exit_code = 8


class LockedError(Exception):
    """The name is taken or somebody else works on the run (the user acts)."""

    exit_code = 9


class TrainingError(Exception):
    """The run itself failed: a loss that is not finite, a ledger that does not add up."""

    exit_code = 1


THAW_ERRORS = (
    RecipeError,
    DataError,
    ClusterError,
    StorageError,
    CheckpointError,
    HangError,
    NotFoundError,
    LockedError,
    TrainingError,
)

ERRNO = re.compile(r"\[errno -?\d+\] ?", re.IGNORECASE)


def reason_of(error: Exception) -> str:
    """Return in words why the system refused something: no number, and no path told twice."""
    words = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return ERRNO.sub("", words)


INTERRUPTED = 130
STOPPED = 143
