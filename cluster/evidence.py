"""What is known of why a run ended, and by which signs a cause is known; causes.py lists them."""

import re
from dataclasses import dataclass
from typing import Literal

from cluster.remedies import Remedy

Part = Literal["message", "words", "ray", "nodes", "job"]


@dataclass(frozen=True)
class Evidence:
    """What is known of why an attempt or a run ended."""

    error: str | None = None
    """Class of the error, one of ours."""
    message: str = ""
    """The sentence with which it ended."""
    words: str = ""
    """The exception of the rank that failed first."""
    ray: str = ""
    """What Ray said of that rank."""
    nodes: str = ""
    """What was said of its nodes."""
    job: str = ""
    """What is known of its job while the run is said to go on."""

    def part(self, name: Part) -> str:
        """Give one of the texts."""
        return str(vars(self)[name])


@dataclass(frozen=True)
class Sign:
    """Something by which a cause is known."""

    pattern: str = ""
    error: str | None = None
    """Class that the error must have; None takes any."""
    where: tuple[Part, ...] = ("message", "words")
    unless: str = ""
    """Words, anywhere, that tell another cause."""

    def holds(self, evidence: Evidence) -> bool:
        """Say whether it is there."""
        if self.error not in (None, evidence.error):
            return False
        everything = "\n".join(str(text) for text in vars(evidence).values())
        if self.unless and re.search(self.unless, everything, re.IGNORECASE):
            return False
        return any(re.search(self.pattern, evidence.part(p), re.IGNORECASE) for p in self.where)


@dataclass(frozen=True)
class Cause:
    """One way to fail."""

    name: str
    title: str
    """What happened, in a few words."""
    meaning: str
    do: str
    signs: tuple[Sign, ...]
    remedies: tuple[Remedy, ...] = ()
    resumes: bool = False
    """Whether `thaw resume` as it is goes on once that is done."""
