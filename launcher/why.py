"""The command `why`: one page on why a run failed or is slow; what is found stands in cluster."""

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from launcher.options import ADDRESS, JSON, RUN, STORAGE, open_client

if TYPE_CHECKING:
    from cluster.diagnosis import Diagnosis
    from cluster.history import Try
    from cluster.rank_logs import RankReport
    from cluster.remedies import Change
    from launcher.messages import Line, Tone

MOST_TRIES = 6
MOST_STACKS = 4
MOST_RANKS = 8
MOST_LETTERS = 60
"""Letters of an attempt's end beyond which a few words stand for it."""
INDENT = 10

TONES: "dict[str, Tone]" = {"succeeded": "good", "failed": "bad", "stopped": "warning"}
FATES = {
    "ended": "ended well",
    "failed": "failed too",
    "lost another": "only lost the connection",
    "hung": "hung too",
    "waited": "waited for the others in a collective",
    "silent": "said nothing of an end",
}


@click.command()
@RUN
@ADDRESS
@STORAGE
@JSON
@click.pass_context
def why(
    ctx: click.Context, run: str, address: str | None, storage: str | None, output: str
) -> None:
    """Say why a run failed or is slow, and what to change.

    Works from the run's directory alone where the cluster is gone.
    """
    from launcher.terminal import Terminal

    terminal = Terminal(as_json=output == "json")
    diagnosis = open_client(ctx, address, storage).why(run)
    if terminal.as_json:
        said = diagnosis.model_dump(mode="json")
        terminal.json({**said, "commands": [command for _, command in commands(diagnosis)]})
        return
    for part in page(diagnosis, now=time.time()):
        if isinstance(part, str):
            terminal.text(part)
        else:
            terminal.lines([part])


def page(diagnosis: "Diagnosis", *, now: float) -> "Iterator[Line | str]":
    """Give the page: lines that fit the terminal, and texts that must stay whole to be copied."""
    from launcher.amounts import duration, plural
    from launcher.messages import DROPPED, Line
    from launcher.whereabouts import LIVE

    live = diagnosis.state in LIVE
    ago = f"{duration(now - diagnosis.updated)} ago"
    since = f"for {duration(diagnosis.worked_s)}" if live else ago
    facts = (diagnosis.run, since, plural(len(diagnosis.tries), "attempt"))
    yield Line(diagnosis.state, facts, TONES.get(diagnosis.state, "plain"))
    if diagnosis.cause is not None:
        yield Line("why", (diagnosis.cause.title,), "bad")
        yield Line("", (diagnosis.cause.meaning,))
    if diagnosis.message and diagnosis.state in ("failed", "stopped"):
        yield Line("its words", (diagnosis.message,))
    yield from _first_lines(diagnosis)
    yield from _others_lines(diagnosis.others)
    yield from _memory_lines(diagnosis)
    for event in diagnosis.nodes:
        at = f" at {time.strftime('%H:%M:%S', time.localtime(event.time))}" if event.time else ""
        yield Line("node", (f"{event.host}{at}".strip() or "notice", event.text))
    yield from _try_lines(diagnosis.tries)
    yield from _finding_lines(diagnosis)
    yield from _command_lines(diagnosis)
    if not diagnosis.goes_on:
        yield Line("saved", (DROPPED,))
    yield from (Line("not seen", (sentence,), "quiet") for sentence in diagnosis.unseen)


def commands(diagnosis: "Diagnosis") -> list[tuple[str, str]]:
    """Give what to type next: what it does, and the command in one line."""
    given = []
    cause = diagnosis.cause
    if cause is not None and cause.resumes:
        step = diagnosis.committed_step
        where = "from the start" if step is None else f"from step {step:,}"
        new = " --address http://NEW:8265" if cause.name == "head_lost" else ""
        given.append((f"goes on {where}", f"thaw resume {diagnosis.run}{new}"))
    return given + [_command(diagnosis, change) for change in diagnosis.changes]


def _command(diagnosis: "Diagnosis", change: "Change") -> tuple[str, str]:
    """Say how a change is made: the run goes on with it, or a new one does, by what it touches."""
    import shlex

    from launcher.client import may_change
    from launcher.whereabouts import LIVE

    keys = [setting.partition("=")[0] for setting in change.settings]
    if all(map(may_change, keys)) and diagnosis.state != "succeeded":
        words, settings = ["thaw", "resume", diagnosis.run], change.settings
    else:
        words = ["thaw", "submit", diagnosis.recipe_address]
        settings = (f"name={diagnosis.run}-2", *change.settings)

    live = diagnosis.state in LIVE and words[1] == "resume"
    text = f"{change.text}, once it is stopped" if live else change.text
    return text, shlex.join([*words, *(w for s in settings for w in ("--set", s))])


def _first_lines(diagnosis: "Diagnosis") -> "Iterator[Line | str]":
    from launcher.messages import Line

    first = diagnosis.first
    where = [f"attempt {diagnosis.attempt}"] if diagnosis.attempt is not None else []
    if diagnosis.step is not None:
        where.append(f"after step {diagnosis.step:,}")
    if first is None:
        if diagnosis.cause is not None and where:
            yield Line("where", tuple(where))
        return
    on = f" on {first.host}" if first.host else ""
    yield Line("first", (f"rank {first.rank}{on}", *where), "bad")
    if first.words and first.message not in diagnosis.message:
        yield from (Line("", (line,)) for line in first.words.splitlines())
    if first.frame:
        yield Line("", (f"at {first.frame}",))
    if first.stands:
        yield Line("", (f"stood at {first.stands}",))
    yield from (f"{'':{INDENT}}  {frame}" for frame in first.stack)
    if diagnosis.ray_words:
        words = diagnosis.ray_words.splitlines()
        yield from (Line("" if n else "Ray says", (line,)) for n, line in enumerate(words))


def _others_lines(others: "Sequence[RankReport]") -> "Iterator[Line | str]":
    """Tell what the other ranks were doing, those with the same fate together."""
    from launcher.messages import Line

    for fate, words in FATES.items():
        ranks = [report for report in others if report.fate == fate]
        if not ranks:
            continue
        named = ", ".join(str(report.rank) for report in ranks[:MOST_RANKS])
        more = f" and {len(ranks) - MOST_RANKS} more" if len(ranks) > MOST_RANKS else ""
        yield Line("others", (f"rank {named}{more} {words}",))
        for report in ranks[:MOST_STACKS]:
            if report.stack or report.stands:
                yield Line("", (f"rank {report.rank} at {report.stands or report.stack[-1]}",))
                yield from (f"{'':{INDENT}}  {frame}" for frame in report.stack)


def _memory_lines(diagnosis: "Diagnosis") -> "Iterator[Line]":
    from launcher.messages import Line

    reports = [diagnosis.first] if diagnosis.first is not None else []
    for report in [*reports, *diagnosis.others][:MOST_RANKS]:
        usage = report.usage
        if usage is None or diagnosis.cause is None:
            continue
        gpu = () if usage.gpu_peak_mib is None else (f"{usage.gpu_peak_mib:,} MiB on its GPU",)
        node = f"{usage.node_free_mib:,} of {usage.node_total_mib:,} MiB free on its node"
        peak = f"rank {report.rank} {usage.peak_mib:,} MiB at its peak"
        yield Line("memory", (peak, *gpu, node))


def _try_lines(tries: "Sequence[Try]") -> "Iterator[Line]":
    from launcher.amounts import plural
    from launcher.messages import Line

    if len(tries) < 2 and not any(one.lost_steps for one in tries):
        return
    if len(tries) > MOST_TRIES:
        before = sum(one.lost_steps or 0 for one in tries[:-MOST_TRIES])
        earlier = plural(len(tries) - MOST_TRIES, "earlier attempt")
        yield Line("attempts", (earlier, f"{plural(before, 'step')} lost in them"))
    for one in tries[-MOST_TRIES:]:
        start = f"from step {one.first_step:,}" if one.first_step else "from the start"
        reach = f"to step {one.last_step:,}" if one.last_step is not None else "to an unknown step"
        workers = () if one.num_workers is None else (plural(one.num_workers, "worker"),)
        lost = () if one.lost_steps is None else (f"{plural(one.lost_steps, 'step')} lost",)
        ended = one.title if len(one.ended) > MOST_LETTERS and one.title else one.ended
        ended = one.outcome if one.outcome == "succeeded" else ended
        facts = (*workers, f"{start} {reach}", *([ended] if ended else []), *lost)
        yield Line(f"attempt {one.attempt}", facts)


def _finding_lines(diagnosis: "Diagnosis") -> "Iterator[Line | str]":
    from launcher.messages import Line

    for finding in diagnosis.findings:
        yield Line("poor" if finding.name == "one_class" else "slow", (finding.text,), "warning")
        for change in finding.changes:
            text, command = _command(diagnosis, change)
            yield Line("", (text,))
            yield f"{'':{INDENT}}  {command}"
    nothing = not diagnosis.findings and diagnosis.cause is None
    lost = any(one.lost_steps for one in diagnosis.tries)
    if nothing and not lost:
        yield Line("", ("nothing stands out",))


def _command_lines(diagnosis: "Diagnosis") -> "Iterator[Line | str]":
    from launcher.messages import Line

    if diagnosis.cause is not None:
        yield Line("do", (diagnosis.cause.do,), "good")
    for text, command in commands(diagnosis):
        yield Line("", (text,))
        yield f"{'':{INDENT}}  {command}"
    if diagnosis.logs and diagnosis.cause is not None:
        yield Line("logs", (f"thaw logs {diagnosis.run} --rank {_rank(diagnosis)}", diagnosis.logs))


def _rank(diagnosis: "Diagnosis") -> int:
    return diagnosis.first.rank if diagnosis.first is not None else 0


COMMANDS = {"why": why}
