"""Recognise why a run ended, by the table of causes; what is known of the end is diagnosis.py's."""

from collections.abc import Iterator

from cluster.evidence import Cause, Evidence, Sign
from cluster.machine_causes import MACHINE_CAUSES
from cluster.work_causes import WORK_CAUSES

CAUSES = (*MACHINE_CAUSES, *WORK_CAUSES)
"""Causes that are known by their words; no two fit the same evidence."""

KINDS = (
    Cause(
        "data",
        "the data cannot be used as asked",
        "Files, columns or cells are not what the recipe says.",
        "Correct what the sentence names, or say in `data.cleaning` what to do with such rows.",
        (Sign(error="DataError"),),
    ),
    Cause(
        "recipe",
        "the recipe asks for something that cannot be done",
        "What was found on the workers does not go with the recipe.",
        "Correct what the sentence names and submit again.",
        (Sign(error="RecipeError"),),
    ),
    Cause(
        "absent",
        "something that was named does not exist",
        "A file, a folder or a run is not where the recipe says.",
        "Correct the path; every node must see it.",
        (Sign(error="NotFoundError"),),
    ),
    Cause(
        "waited",
        "something took longer than it may",
        "The run waited for another rank, the data or the cluster until its limit.",
        "Look at the log of the rank that is named, then resume.",
        (Sign(error="HangError"),),
        resumes=True,
    ),
    Cause(
        "code",
        "an error that Thaw does not know",
        "A library or the model's own code raised it.",
        "Read the message below, and search the issues of the library that raised it for it.",
        (Sign(error="TrainingError"),),
    ),
    Cause(
        "cluster",
        "the cluster failed",
        "Ray could not do what it was asked for.",
        "Look at the cluster (`thaw cluster status`, `ray status`), then resume.",
        (Sign(error="ClusterError"),),
        resumes=True,
    ),
)
"""What is said where no cause is known: by the class of the error."""


def recognise(evidence: Evidence) -> list[Cause]:
    """Give the causes that the evidence tells, or the kind of fault where it tells none."""
    return [*_holding(CAUSES, evidence)] or [*_holding(KINDS, evidence)]


def _holding(causes: tuple[Cause, ...], evidence: Evidence) -> Iterator[Cause]:
    for cause in causes:
        if any(sign.holds(evidence) for sign in cause.signs):
            yield cause
