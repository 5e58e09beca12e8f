"""Records of a made-up run, from its data to its end."""

from configs.records import (
    Attempt,
    Committed,
    DataReady,
    Ended,
    Evaluated,
    Exported,
    Ledger,
    Mishap,
    Note,
    Phase,
    Record,
    Step,
)

START = 1_700_000_000.0
SCORES = {"loss": 0.5, "accuracy": 0.75, "macro_f1": 0.7125}

DATA = DataReady(
    time=START,
    path="prepared",
    fingerprint="f",
    cached=True,
    rows_in=10_003,
    duplicates=38,
    dropped={"empty": 2},
    splits={"train": 8_969, "validation": 994},
    num_labels=77,
)
ATTEMPT = Attempt(
    time=START + 1,
    attempt=1,
    num_workers=2,
    nodes=("one", "two"),
    resumed_from_step=None,
    reason="submitted",
)
PHASE = Phase(
    time=START + 2,
    phase=1,
    num_phases=1,
    name="head",
    trainable_parameters=29_645,
    total_parameters=22_713_216,
    total_steps=1_120,
)


def step_record(step: int = 120, **changes: float | None) -> Step:
    values = {
        "time": START + 2 + step,
        "attempt": 1,
        "step": step,
        "total_steps": 1_120,
        "epoch": step / 140,
        "loss": 1.8431,
        "learning_rate": 2e-4,
        "grad_norm": 0.71,
        "rows_per_s": 120.4,
        "tokens_per_s": 3_100.0,
        "data_wait": 0.004,
        "padding": 0.05,
        "seconds": 0.5,
    }
    return Step.model_validate({**values, **changes})


EVALUATED = Evaluated(
    time=START + 150,
    step=140,
    epoch=1.0,
    split="validation",
    rows=994,
    metrics=SCORES,
    per_class={},
    best=True,
)
COMMITTED = Committed(
    time=START + 151,
    step=140,
    checkpoint="checkpoints/step-00000140.a01",
    seconds=0.25,
    num_bytes=3 * 2**20,
)
NOTE = Note(time=START + 151, level="warning", text="A worker is slow")
MISHAP = Mishap(
    time=START + 151,
    step=141,
    action="skipped",
    text="the loss is nan at step 141: the step was skipped",
    row_ids=("00ff",),
    count=1,
)
LEDGERS = tuple(
    Ledger(
        time=START + 152,
        step=560 * epoch,
        epoch=epoch,
        split="train",
        rows=8_969,
        expected_rows=8_969,
        id_sum="ff",
        ok=True,
    )
    for epoch in (1, 2)
)
EXPORTED = Exported(
    time=START + 370, path="runs/small/export", step=1_120, max_difference=0, frozen_unchanged=True
)


def ended(state: str = "succeeded", exit_code: int = 0, **changes: object) -> Ended:
    values = {
        "time": START + 372,
        "state": state,
        "exit_code": exit_code,
        "error": "DataError" if state == "failed" else None,
        "message": "Reached the last step",
        "step": 1_120,
        "metrics": SCORES if state == "succeeded" else {},
        "rows": 994,
    }
    return Ended.model_validate({**values, **changes})


STORY: tuple[Record, ...] = (
    DATA,
    ATTEMPT,
    PHASE,
    step_record(),
    EVALUATED,
    COMMITTED,
    NOTE,
    MISHAP,
    *LEDGERS,
    EXPORTED,
    ended(),
)
