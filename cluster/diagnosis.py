"""Read out of a run's directory what went wrong first, what it cost and what to change.

What only the cluster knows is handed in; how the page looks is launcher/why.py's.
"""

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict

from cluster import causes, runs
from cluster.aftermath import Aftermath
from cluster.evidence import Cause, Evidence
from cluster.history import Try, attempt_logs, read_history, without_retries
from cluster.learning import find_one_class
from cluster.lock import beats
from cluster.pace import Finding, find_slowness
from cluster.rank_logs import RankReport, read_ranks, trimmed
from cluster.remedies import Change, work_out
from configs.errors import NotFoundError, RecipeError, StorageError
from configs.records import Committed, Ended, Note, Record
from configs.schema import Recipe
from configs.yaml_text import YamlError
from trainers import storage as files
from trainers.optimizer_state import has_optimizer

BEAT_WATCH_S = 12.0
"""How long a driver whose job is over is watched: it beats every 5 s."""
BEAT_OLD_S = 30.0
"""Age of the driver's last beat from which on it is not taken to be alive; clocks may differ."""
LATE_NEWS_S = 60.0
"""Time after which Ray has noticed that a node is dead."""
NAMED = re.compile(r"worker (\d+)(?: on \S+)? (?:died|was )")


class NodeEvent(BaseModel):
    """Something that happened to a node of the run."""

    model_config = ConfigDict(frozen=True)
    time: float | None
    """Seconds since the epoch; None where it is not told."""
    host: str
    text: str


class Outside(BaseModel):
    """What the cluster told about a run, as far as it was reached."""

    model_config = ConfigDict(frozen=True)
    reached: bool = True
    job: str = ""
    """What it says about the run's job, or why it could not be asked."""
    job_id: str = ""
    """The job that was asked for."""
    job_is_over: bool = False
    """Whether the cluster takes that job for ended."""
    ended: Ended | None = None
    """The last word in the log of that job, where it is over."""
    unseen: str = ""
    """Why nobody tried to ask it, a sentence."""
    nodes: tuple[NodeEvent, ...] = ()


class CauseWords(BaseModel):
    """A cause as the table has it."""

    model_config = ConfigDict(frozen=True)
    name: str
    title: str
    meaning: str
    do: str
    resumes: bool


class Diagnosis(BaseModel):
    """Why a run failed, or is slow."""

    model_config = ConfigDict(frozen=True)
    run: str
    state: str
    created: float
    updated: float
    worked_s: float
    """Seconds that was worked on it, until now where it goes on."""
    error: str | None
    message: str
    """The sentence with which it ended."""
    cause: CauseWords | None
    """None where nothing failed."""
    attempt: int | None
    """The attempt that is looked at."""
    step: int | None
    """The last step that it wrote down."""
    first: RankReport | None
    """The rank that failed first."""
    others: tuple[RankReport, ...]
    ray_words: str
    """What Ray said of that rank."""
    nodes: tuple[NodeEvent, ...]
    tries: tuple[Try, ...]
    committed_step: int | None
    """Where `thaw resume` would go on."""
    goes_on: bool
    """Whether a step can follow its commits: their optimizer state was not dropped."""
    changes: tuple[Change, ...]
    findings: tuple[Finding, ...]
    recipe_address: str
    logs: str
    """Folder of the logs of that attempt; empty where there are none."""
    unseen: tuple[str, ...]
    """What could not be looked at, a sentence each."""


def diagnose(storage: str, name: str, outside: Outside) -> Diagnosis:
    """Read a run's directory; raises NotFoundError for an unknown run, StorageError as it is.

    `outside` is what the cluster told.
    """
    folder = runs.run_directory(storage, name)
    state, outcome = _told_by_job(runs.read_run(storage, name), outside)
    records, unseen = _readable_records(storage, name)
    committed = runs.newest_commit_step(storage, name)
    history = read_history(folder, records, committed)
    unseen += outcome
    unseen += [] if outside.reached else [outside.unseen or outside.job]
    recipe = None
    try:
        recipe = runs.read_run_recipe(storage, name)
        unseen += runs.find_damage(storage, name)
    except (NotFoundError, StorageError, RecipeError, YamlError) as error:
        unseen.append(f"the run's recipe cannot be read: {error}")
    job = _job_words(storage, state, outside)
    is_over = state.state in ("failed", "stopped") or "no sign of life" in job
    logs = attempt_logs(folder, history[-1].attempt) if history else ""
    reports = _readable_ranks(logs) if history and is_over else []
    if is_over and history and not reports:
        unseen.append(f"attempt {history[-1].attempt} left no log of a rank in {folder}")
    goes_on = has_optimizer(folder)
    seen = Seen(state, records, history, reports, job, committed, recipe, goes_on)
    return _judged(seen, folder, outside, unseen)


def _readable_records(storage: str, name: str) -> tuple[list[Record], list[str]]:
    """Return the records that can be read, and what keeps the others from it."""
    try:
        records = [*runs.read_records(storage, name)]
    except StorageError as error:
        return [], [f"the run's records cannot be read: {error}"]
    damage = [r.text for r in records if isinstance(r, Note) and r.event == "damaged_lines"]
    return records, damage


def _readable_ranks(logs: str) -> list[RankReport]:
    try:
        return read_ranks(logs)
    except StorageError:
        return []


def diagnose_records(
    state: runs.RunState, records: Sequence[Record], outside: Outside, unseen: str
) -> Diagnosis:
    """Judge a run by its records alone, where its storage is not visible; `unseen` says so."""
    steps = [record.step for record in records if isinstance(record, Committed)]
    committed = max(steps, default=None)
    history = read_history(None, records, committed)
    job = "" if state.state not in runs.LIVE else outside.job
    seen = Seen(state, records, history, [], job, committed, None)
    return _judged(seen, runs.run_directory(state.storage, state.name), outside, [unseen])


@dataclass(frozen=True)
class Seen:
    """What was read of a run before it is judged."""

    state: runs.RunState
    records: Sequence[Record]
    history: Sequence[Try]
    reports: Sequence[RankReport]
    job: str
    committed: int | None
    recipe: Recipe | None
    goes_on: bool = True

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What made it slow or poor, where it took steps."""
        if self.recipe is None or self.state.state not in ("running", "succeeded", "stopped"):
            return ()
        lost = [one.lost_steps or 0 for one in self.history]
        slow = find_slowness(self.records, self.recipe, lost)
        return (*find_one_class(self.records, self.recipe), *slow)

    @property
    def last(self) -> Try | None:
        """The attempt that is looked at."""
        return self.history[-1] if self.history else None

    @property
    def aftermath(self) -> Aftermath | None:
        """What the driver kept of its end."""
        return self.last.aftermath if self.last is not None else None


def _judged(seen: Seen, folder: str, outside: Outside, unseen: Sequence[str]) -> Diagnosis:
    state, last, recipe = seen.state, seen.last, seen.recipe
    ails = bool(seen.job) or state.state in ("failed", "stopped")
    message = without_retries(state.message)
    first = _first(seen, message) if state.state != "stopped" else None
    ray_words = _ray_words(seen.aftermath, first)
    evidence = Evidence(
        error=state.error,
        message=message,
        words=first.words if first is not None else "",
        ray=ray_words,
        nodes=_reasons(seen.aftermath),
        job=seen.job,
    )
    found = causes.recognise(evidence) if ails else []
    return Diagnosis(
        run=state.name,
        state=state.state,
        created=state.created,
        updated=state.updated,
        worked_s=state.total_s(time.time()),
        error=state.error,
        message=message,
        cause=_words(found[0]) if found else None,
        attempt=last.attempt if last is not None else None,
        step=last.last_step if last is not None else None,
        first=first,
        others=tuple(report for report in seen.reports if report is not first),
        ray_words=trimmed(ray_words),
        nodes=_node_events(seen, outside),
        tries=tuple(map(_with_cause, seen.history)),
        committed_step=seen.committed,
        goes_on=seen.goes_on,
        changes=work_out(found[0].remedies, recipe) if found and recipe else (),
        findings=seen.findings,
        recipe_address=files.join(folder, "recipe.yaml"),
        logs=attempt_logs(folder, last.attempt) if last is not None and seen.reports else "",
        unseen=tuple(unseen),
    )


def _first(seen: Seen, message: str) -> RankReport | None:
    """Find the rank that failed first, as against those that felt it."""
    by_rank = {report.rank: report for report in seen.reports}
    if hung := [report for report in seen.reports if report.fate == "hung"]:
        return hung[0]
    if (named := NAMED.search(message)) and int(named[1]) in by_rank:
        return by_rank[int(named[1])]
    for fate in ("failed", "waited", "lost another"):
        if found := [report for report in seen.reports if report.fate == fate]:
            return min(found, key=lambda report: report.time or 0.0)
    told = sorted(seen.aftermath.words) if seen.aftermath is not None else []
    return next((by_rank[rank] for rank in told if rank in by_rank), None)


def _ray_words(aftermath: Aftermath | None, first: RankReport | None) -> str:
    if aftermath is None:
        return ""
    if first is not None and first.rank in aftermath.words:
        # An exception of the rank itself stands in its log already.
        return "" if first.error else _sentences(aftermath.words[first.rank])
    return "\n".join(map(_sentences, aftermath.words.values())) if first is None else ""


def _sentences(words: str) -> str:
    """Leave out the ids of Ray's own that stand between its sentences."""
    return "\n".join(line for line in words.splitlines() if not line.startswith("\t"))


def _reasons(aftermath: Aftermath | None) -> str:
    return "\n".join(node.reason for node in aftermath.nodes) if aftermath is not None else ""


def _told_by_job(state: runs.RunState, outside: Outside) -> tuple[runs.RunState, list[str]]:
    """Return how a run stands by its job's last word, where its driver could not write run.json."""
    ended = outside.ended
    is_its_job = bool(state.job_ids) and outside.job_id == state.job_ids[-1]
    if state.state not in runs.LIVE or ended is None or not is_its_job:
        return state, []
    known = {name: vars(ended)[name] for name in ("state", "message", "error", "exit_code")}
    said = f"run.json still says {state.state}: how the run ended is told by the log of its job"
    return state.model_copy(update={**known, "updated": ended.time}), [said]


def _job_words(storage: str, state: runs.RunState, outside: Outside) -> str:
    """Say what is wrong with the driver of a run that should go on; empty where nothing is."""
    if state.state not in runs.LIVE:
        return ""
    age = runs.silent_s(storage, state)
    if age > BEAT_OLD_S:
        return f"no sign of life of the driver for {age:.0f} s. {outside.job}"
    if outside.job_is_over:
        # Its beats tell whether the driver is gone, too: Ray may have lost its own processes alone.
        if beats(runs.run_directory(storage, state.name), BEAT_WATCH_S):
            return f"the driver goes on without its job. {outside.job}"
        age = runs.silent_s(storage, state)
        return f"no sign of life of the driver for {age:.0f} s. {outside.job}"
    return "" if outside.reached or outside.unseen else f"the run goes on. {outside.job}"


def _with_cause(one: Try) -> Try:
    """Name the cause of an attempt that failed, by what its driver wrote down."""
    if one.outcome != "failed":
        return one
    kept = one.aftermath
    evidence = Evidence(
        error=kept.error if kept is not None else "ClusterError",
        message=one.ended,
        ray="\n".join(kept.words.values()) if kept is not None else "",
        nodes=_reasons(kept),
    )
    found = causes.recognise(evidence)
    changes = {"cause": found[0].name, "title": found[0].title} if found else {}
    return one.model_copy(update=changes)


def _node_events(seen: Seen, outside: Outside) -> tuple[NodeEvent, ...]:
    """Join what the drivers saw of lost nodes with what the cluster tells."""
    events = []
    for one in seen.history:
        if one.aftermath is not None:
            for node in one.aftermath.nodes:
                reason = f": {trimmed(node.reason)}" if node.reason else ""
                text = f"lost in attempt {one.attempt}{reason}"
                events.append(NodeEvent(time=one.aftermath.time, host=node.host, text=text))
    for record in seen.records:
        if isinstance(record, Note) and "will leave the cluster" in record.text:
            events.append(NodeEvent(time=record.time, host="", text=record.text))
    own = {host for one in seen.history for host in one.nodes}
    known = {event.host for event in events}
    # What died long before the run, or after it, is none of its matter.
    since, until = seen.state.created, seen.state.updated + LATE_NEWS_S
    told = (e for e in outside.nodes if e.host in own - known and since <= (e.time or 0) <= until)
    return (*events, *told)


def _words(cause: Cause) -> CauseWords:
    return CauseWords(
        name=cause.name,
        title=cause.title,
        meaning=cause.meaning,
        do=cause.do,
        resumes=cause.resumes,
    )
