"""Records in words."""

import pytest

from configs.records import Ledger, Proof, Recorded
from launcher.messages import Line, Story, data_table, data_warnings, exported_weights
from tests.launcher.made_up_run import (
    ATTEMPT,
    DATA,
    EXPORTED,
    LEDGERS,
    PHASE,
    STORY,
    ended,
    step_record,
)


def told(*records, steps=True, width=None):
    story = Story("small", steps=steps)
    return [row for record in records for line in story.tell(record) for row in line.rows(width)]


def test_a_run_reads_as_its_story():
    dot = " \u00b7 "
    assert told(*STORY) == [
        f"data      10,003 rows in, 38 duplicates dropped, 2 empty{dot}8,969 train, 994 validation"
        f"{dot}77 labels{dot}cached",
        "cluster   2 workers on 2 nodes",
        f"phase     head{dot}29,645 of 22.7 M parameters learn{dot}1,120 steps",
        f"  step 120/1,120{dot}loss 1.8431{dot}lr 2.0e-04{dot}120 rows/s{dot}3,100 tokens/s{dot}"
        f"waiting for data 0.4 %{dot}grad norm 0.71",
        f"evaluated validation{dot}macro F1 0.7125{dot}accuracy 0.7500{dot}loss 0.5000{dot}994 rows"
        f"{dot}step 140, epoch 1{dot}best so far",
        f"saved     step 140{dot}3.0 MiB in 0.2 s",
        "warning   A worker is slow",
        "warning   the loss is nan at step 141: the step was skipped",
        f"done      macro F1 0.7125{dot}accuracy 0.7500{dot}on 994 of 994 rows{dot}6 m 12 s",
        f"ledger    2 epochs x 8,969 rows, each row once{dot}frozen weights unchanged",
        f"export    runs/small/export{dot}loads with transformers.pipeline",
    ]


def test_a_balanced_epoch_is_said_to_be_drawn():
    drawn = [
        record.model_copy(update={"drawn": True}) if isinstance(record, Ledger) else record
        for record in STORY
    ]
    (line,) = [row for row in told(*drawn) if row.startswith("ledger")]
    assert "2 epochs x 8,969 rows, drawn by balance, each draw once" in line


def test_steps_can_be_left_out():
    assert told(step_record(), steps=False) == []


def test_a_second_attempt_says_where_it_goes_on_and_why():
    again = ATTEMPT.model_copy(
        update={"attempt": 2, "resumed_from_step": 140, "reason": "a worker was lost"}
    )
    assert told(ATTEMPT, again)[1] == (
        "attempt 2 2 workers on 2 nodes \u00b7 goes on from step 140 \u00b7 a worker was lost"
    )


def test_a_failure_says_why_and_where_to_look():
    rows = told(DATA, ended("failed", 3, message="Column x is missing"))
    assert rows[1:] == [
        "failed    Column x is missing \u00b7 6 m 12 s",
        "look at   thaw why small \u00b7 thaw logs small",
    ]


def test_a_stop_says_how_to_go_on():
    assert told(ended("stopped", 143, step=70))[-1] == "next      go on with: thaw resume small"


def test_a_job_that_says_one_thing_only_has_no_duration_and_no_rows():
    rows = told(ended(metrics={}, message="4,780 rows predicted"))
    assert rows == ["done      4,780 rows predicted"]


def test_a_ledger_that_does_not_add_up_is_shown_and_never_claimed():
    broken = LEDGERS[0].model_copy(update={"rows": 8_968, "ok": False})
    rows = told(PHASE, broken, ended())
    assert rows[1] == "ledger    epoch 1: 8,968 of 8,969 train rows \u00b7 does not add up"
    assert not any("each row once" in row for row in rows)


@pytest.mark.parametrize("width", [60, 80, 120])
def test_lines_break_between_facts_and_keep_the_width(width):
    for row in told(*STORY, width=width):
        assert len(row) <= width
    rows = told(step_record(), width=60)
    assert rows[1].startswith("  ") and "tokens/s" in " ".join(rows)


def test_a_fact_longer_than_the_line_is_wrapped_under_itself():
    line = Line("failed", ("one two three four five six seven eight",))
    assert line.rows(34) == [
        "failed    one two three four five",
        "          six seven eight",
    ]


def test_words_are_never_broken():
    path = f"/data/{'runs/' * 12}export"
    line = Line("export", (f"copied to {path} today", "step 12"))
    assert line.rows(40) == [
        "export    copied to",
        f"          {path}",
        "          today \u00b7 step 12",
    ]


def test_signs_that_take_two_cells_count_twice():
    label = "\u4fe1\u7528\u5361\u652f\u4ed8"  # five signs, ten cells
    assert Line("note", (f"{label} {label}", "x")).rows(32) == [
        f"note      {label} {label}",
        "          x",
    ]
    assert Line("note", (f"{label} {label}", "x")).rows(30) == [
        f"note      {label}",
        f"          {label} \u00b7 x",
    ]


def test_a_long_label_does_not_touch_its_facts():
    again = ATTEMPT.model_copy(update={"attempt": 10, "resumed_from_step": 560})
    (row,) = told(ATTEMPT, again)[1:]
    assert row.startswith("attempt 10 2 workers on 2 nodes")
    facts = ("2 workers on 2 nodes", "goes on from step 560")
    assert Line("attempt 10", facts).rows(40) == [
        "attempt 10 2 workers on 2 nodes",
        "           goes on from step 560",
    ]


def test_what_a_person_should_know_of_the_data_is_said():
    record = DATA.model_copy(
        update={
            "conflicts": 2,
            "contamination": {"train rows also in test": 1_234},
            "notes": ("labels have gaps",),
        }
    )
    said = Story("small").tell(record)[1:]
    assert [line.tone for line in said] == ["plain", "warning", "plain"]
    assert "2 training rows have the same input" in said[0].parts[0]
    assert "1,234 train rows also in test" in said[1].parts[0]
    assert said[2].parts == ("labels have gaps",)
    assert data_warnings(DATA) == []
    changed = DATA.model_copy(update={"changed": {"label NaN read as none": 1_200}})
    (line,) = data_warnings(changed)
    assert (line.label, line.parts) == ("changed", ("1,200 label NaN read as none",))


def test_an_export_that_holds_code_says_how_it_loads():
    coded = EXPORTED.model_copy(update={"holds_code": True})
    lines = told(coded, ended())
    assert lines[-1].endswith("loads with transformers.pipeline, trust_remote_code=True")


def test_rows_of_a_file_are_told_of_by_its_name():
    changes = {"splits": {"/in/new.csv": 300}, "rows_in": 300, "duplicates": 0, "dropped": {}}
    data = DATA.model_copy(update={**changes, "cached": False})
    assert told(data) == [
        "data      300 rows in \u00b7 300 rows of /in/new.csv \u00b7 77 labels",
    ]
    (done,) = told(data, ended(rows=300))[-1:]
    assert "on 300 rows of /in/new.csv" in done


def test_the_table_of_a_preparation_adds_up():
    header, rows = data_table(DATA)
    assert header == ("WHAT", "ROWS", "SHARE")
    counts = {name: int(count.replace(",", "")) for name, count, _ in rows}
    assert counts.pop("rows in") == sum(counts.values())
    assert counts["dropped: duplicates"] == 38


def test_a_phase_says_its_steps_and_its_proof():
    story = Story("small")
    changes = {"phase": 2, "num_phases": 3, "first_step": 140, "last_step": 1_280}
    (line,) = story.tell(PHASE.model_copy(update=changes))
    assert line.label == "phase 2/3"
    assert line.parts[2] == "steps 141 to 1,280"
    proof = Proof(
        time=PHASE.time,
        step=141,
        phase=2,
        num_phases=3,
        trainable_parameters=1_800_000,
        frozen_parameters=20_900_000,
        new_tensors=16,
        moved_tensors=16,
        frozen_unchanged=True,
    )
    (line,) = story.tell(proof)
    assert line.parts == ("16 of 16 new tensors moved", "20.9 M frozen parameters unchanged")
    (line,) = story.tell(proof.model_copy(update={"frozen_unchanged": False}))
    assert line.tone == "bad"
    assert story.tell(proof.model_copy(update={"num_phases": 1})) == []


def test_a_recording_of_frozen_blocks_is_said():
    recorded = Recorded(
        time=PHASE.time,
        step=0,
        blocks=4,
        num_blocks=6,
        rows=10_003,
        num_bytes=169 * 2**20,
        seconds=31.0,
        cached=False,
    )
    assert told(recorded) == [
        "recorded  4 of 6 blocks computed once \u00b7 169.0 MiB on disk \u00b7 31 s"
    ]
    found = told(recorded.model_copy(update={"cached": True}))
    assert found == ["recorded  4 of 6 blocks computed once \u00b7 found on disk"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"epoch": 2.0, "best_metric": "macro_f1"},
            ("epoch 2 of 3 is exported, best by macro F1",),
        ),
        ({"epoch": 1.42, "best_metric": "loss"}, ("epoch 1.42 of 3 is exported, best by loss",)),
        ({"epoch": 3.0}, ("epoch 3 of 3 is exported, the last one",)),
        ({}, ()),  # a record of before it was written down
    ],
)
def test_the_done_line_says_which_weights_were_exported(changes, said):
    record = EXPORTED.model_copy(update={"epochs": 3.0, **changes})
    assert exported_weights(record) == said
    assert [part in told(DATA, record, ended())[-2] for part in said] == [True] * len(said)


def test_images_have_a_rate_of_rows_and_none_of_tokens():
    (told,) = Story("small").tell(step_record(tokens_per_s=None))
    (row,) = told.rows(None)
    assert "120 rows/s \u00b7 waiting" in row and "tokens" not in row
