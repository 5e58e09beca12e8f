"""Where the time of a run went, by its records."""

from collections.abc import Sequence
from typing import Any

from cluster.pace import Finding, find_slowness
from configs.load import recipe_from
from configs.records import Evaluated, Record, Recorded
from tests.past_runs import START, begun, commit, step

ASKED: dict[str, Any] = {
    "name": "past",
    "model": {"path": "org/model"},
    "task": {"kind": "text_classification"},
    "data": {"train": "train.csv", "validation": "10%"},
}


def found(records: Sequence[Record], **sections: Any) -> dict[str, Finding]:
    return {f.name: f for f in find_slowness(records, recipe_from({**ASKED, **sections}))}


def evaluated(number: int) -> Evaluated:
    return Evaluated(
        time=START + 10 + number,
        step=number,
        epoch=0.5,
        split="validation",
        rows=10,
        metrics={},
        per_class={},
        best=False,
    )


def later(number: int, seconds: float, **values: float) -> Record:
    """A step so many seconds after the beginning."""
    return step(number, **{"time": START + seconds, **values})


def settings(finding: Finding) -> list[tuple[str, ...]]:
    return [change.settings for change in finding.changes]


def test_nothing_is_said_where_all_is_well() -> None:
    assert found([begun(1), *(step(number) for number in range(1, 40))]) == {}


def test_nothing_is_said_of_a_run_that_has_hardly_begun() -> None:
    assert found([begun(1), *(step(n, data_wait=0.9) for n in range(1, 4))]) == {}


def test_waiting_for_data_is_the_mean_over_time() -> None:
    records = [step(n, data_wait=0.5 if n % 2 else 0.1) for n in range(1, 41)]
    finding = found([begun(1), *records])["data"]
    assert round(finding.share, 6) == 0.3
    assert settings(finding) == [("cluster.cpus_per_worker=2",)]


def test_padding_asks_for_microbatches_by_tokens_or_packing() -> None:
    records = [begun(1), *(step(number, padding=0.6) for number in range(1, 20))]
    batch = {"lanes": 8, "microbatch_size": 4, "max_length": 100}
    finding = found(records, batch=batch)["padding"]
    # 4 rows of 100 tokens, of which 40 % were no padding.
    assert settings(finding) == [("batch.microbatch_tokens=160", "batch.microbatch_size=8")]
    language = {"kind": "language_modeling"}
    finding = found(records, task=language, batch=batch)["padding"]
    assert settings(finding) == [("batch.packing=true",)]
    assert settings(found(records, batch={"microbatch_tokens": 600})["padding"]) == []


def with_evaluations() -> list[Record]:
    """40 steps of a second and 40 seconds of evaluation."""
    records: list[Record] = [begun(1), later(1, 1, total_steps=500)]
    seconds = 1.0
    for number in range(2, 42):
        if number % 10 == 1:  # after steps 10, 20, 30 and 40: 10 seconds each
            records.append(evaluated(number - 1))
            seconds += 10
        seconds += 1
        records.append(later(number, seconds, total_steps=500))
    return records


def test_evaluations_take_what_their_stretch_took_longer() -> None:
    sections = {"evaluation": {"every_steps": 10, "every_epochs": None}}
    finding = found(with_evaluations(), **sections)["evaluation"]
    assert round(finding.share, 6) == 0.5
    # A share of 5 % is 19 times less often than 50 %.
    assert settings(finding)[0] == ("evaluation.every_steps=190",)
    assert "4 evaluations" in finding.text


def test_nothing_is_made_rarer_than_twice_in_the_run() -> None:
    (change, _) = found(with_evaluations(), epochs=8)["evaluation"].changes
    # 50 : 50 becomes 12.5 : 50
    assert change.settings == ("evaluation.every_epochs=4",)
    assert change.text == "brings it to about 20 %"
    once = found(with_evaluations(), epochs=3)["evaluation"]
    assert settings(once) == [("batch.eval_microbatch_size=64",)]


def test_commits_are_made_rarer_by_what_makes_them() -> None:
    records: list[Record] = [begun(1)]
    for number in range(1, 41):
        records += [step(number), *([commit(number, 2.0)] if number % 10 == 0 else [])]
    sections = {"checkpoint": {"every_steps": 10}}
    finding = found(records, **sections)["commits"]
    assert round(finding.share, 6) == round(8 / 39, 6)
    # 8/39 / (31/39) * 19 = 4.90 times as rare
    assert settings(finding) == [("checkpoint.every_steps=50",)]
    finding = found(records, checkpoint={"every_steps": None, "every_minutes": 0.5})["commits"]
    assert settings(finding) == [("checkpoint.every_minutes=3",)]


def test_recording_counts_where_it_takes_long() -> None:
    recorded = Recorded(
        time=START, step=0, blocks=4, num_blocks=6, rows=9, num_bytes=9, seconds=40, cached=False
    )
    records = [begun(1), recorded, *(step(number) for number in range(1, 41))]
    finding = found(records)["recording"]
    assert round(finding.share, 6) == round(40 / 79, 6)
    assert settings(finding) == [("freezing.prefix_cache=off",)]


def test_steps_that_get_slower_are_said_with_both_figures() -> None:
    seconds, records = 0.0, [begun(1)]
    for number in range(1, 41):
        seconds += 1.0 if number <= 20 else 2.0
        records.append(later(number, seconds))
    finding = found(records)["slowing"]
    assert finding.text == "steps got slower: 1 s at first, 2 s at last"


def test_steps_that_were_done_twice_ask_for_commits_more_often() -> None:
    recipe = recipe_from(ASKED)
    records = [begun(1), *(step(number) for number in range(1, 41))]
    (finding,) = find_slowness(records, recipe, [12, 0, 8])
    # 20 of 40 + 20; half of a mean loss of 10
    assert finding.text == "33 % of the steps were done twice, after 2 failed attempts"
    assert settings(finding) == [("checkpoint.every_steps=5",)]
    assert find_slowness(records, recipe, [2]) == []


def test_time_between_attempts_is_no_step() -> None:
    records = [begun(1), *(step(n) for n in range(1, 21)), begun(2, 20)]
    records += [later(n, 1000 + n, attempt=2) for n in range(21, 41)]
    assert found(records) == {}


def test_a_worker_that_got_little_of_a_core_is_told() -> None:
    starved = [step(n, cpu_share=0.19) for n in range(1, 41)]
    finding = found([begun(1), *starved], cluster={"num_workers": 1})["starved"]
    assert finding.text.startswith("rank 0 got 19 % of a core: other programs run on its node")
    together = found([begun(1), *starved], cluster={"num_workers": 2})["starved"]
    assert "or it waits for a slower rank" in together.text
    # Half of the time it waits for data, in the other half it has 0.6 of a core.
    waits = [step(n, cpu_share=0.3, data_wait=0.5) for n in range(1, 41)]
    assert "starved" not in found([begun(1), *waits])
    assert found([begun(1), *starved], cluster={"gpus_per_worker": 1}) == {}
    assert found([begun(1), *(step(n) for n in range(1, 41))]) == {}  # an old run tells nothing
