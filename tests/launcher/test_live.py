"""A run while it goes on: plain, as JSON and on a terminal."""

import io
import json

from rich.console import Console, Group

from configs.records import Preparing
from launcher.live import panel, progress_lines, show, waiting_for
from launcher.messages import Story
from launcher.progress import progress_of
from launcher.terminal import Terminal
from tests.launcher.made_up_run import (
    ATTEMPT,
    COMMITTED,
    DATA,
    EVALUATED,
    PHASE,
    START,
    STORY,
    ended,
    step_record,
)


def on_a_terminal(width=100):
    terminal = Terminal(width=width)
    terminal.out = Console(
        file=io.StringIO(), force_terminal=True, width=width, highlight=False, markup=False
    )
    return terminal


def test_a_bar_while_the_data_are_prepared():
    preparing = Preparing(time=START, doing="tokenising", share=0.25)
    progress = progress_of("small", [preparing])
    terminal = on_a_terminal()
    terminal.out.print(panel(terminal, progress, now=START + 9, since=START))
    text = terminal.out.file.getvalue()
    assert "25.0 %" in text and "tokenising" in text and "9 s" in text
    # The spinner is back once the data are there.
    progress.add(DATA)
    assert not isinstance(panel(terminal, progress, now=START, since=START), Group)


def test_plain_lines_come_once_and_the_last_word_is_given(capsys):
    entries = [*STORY[:4], "some log line", *STORY[:4], ended("stopped", 143)]
    last = show(Terminal(), Story("small"), entries)
    out = capsys.readouterr().out
    assert last is not None and last.exit_code == 143
    assert out.count("step 120/1,120") == 1
    assert "some log line" not in out


def test_what_was_seen_before_is_counted_but_not_shown_again(capsys):
    story = Story("small")
    show(Terminal(), story, [ended()], seen=STORY[:-1])
    out = capsys.readouterr().out
    assert "2 epochs x 8,969 rows" in out
    assert "step 120" not in out


def test_json_gives_every_record_on_a_line(capsys):
    show(Terminal(as_json=True), Story("small"), ["text", *STORY])
    kinds = [json.loads(line)["kind"] for line in capsys.readouterr().out.splitlines()]
    assert kinds == [record.kind for record in STORY]


def test_a_terminal_keeps_the_story_and_clears_the_panel():
    terminal = on_a_terminal()
    last = show(terminal, Story("small", steps=False), STORY)
    text = terminal.out.file.getvalue()
    assert last is not None and last.state == "succeeded"
    assert "2 workers on 2 nodes" in text and "each row once" in text


def test_the_panel_tells_pace_evaluation_attempt_and_age_of_the_checkpoint():
    progress = progress_of("small", [DATA, ATTEMPT, PHASE, step_record(), EVALUATED, COMMITTED])
    rows = [line.rows(None)[0] for line in progress_lines(progress, now=START + 211)]
    lines = (
        # 1,000 steps are left at 0.5 s each; the commit was at START + 151.
        "step      120/1,120 | epoch 0.86 | attempt 1 | 8 m 20 s left | as of 1 m 29 s ago",
        "          loss 1.8431 | lr 2.0e-04 | 120 rows/s | 3,100 tokens/s | waiting for data 0.4 %",
        "saved     step 140 | 1 m ago",
        "evaluated validation | macro F1 0.7125 | accuracy 0.7500 | loss 0.5000 | step 140 | "
        "the best so far",
    )
    assert rows == [line.replace(" | ", " \u00b7 ") for line in lines]
    terminal = on_a_terminal()
    terminal.out.print(panel(terminal, progress, now=START + 211, since=START))
    first = terminal.out.file.getvalue().splitlines()[0]
    assert first.startswith("small") and first.endswith("10.7 %")


def test_before_the_first_step_it_says_what_is_waited_for():
    waited = [(), (DATA,), (ATTEMPT,), (ATTEMPT, DATA), (ATTEMPT, DATA, PHASE)]
    assert [waiting_for(progress_of("small", records)) for records in waited] == [
        "waiting for the job",
        "waiting for the workers",
        "preparing the data",
        "loading the model",
        "waiting for the first step",
    ]
