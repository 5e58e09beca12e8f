"""The driver as far as it needs no cluster."""

import io
import json
from pathlib import Path

import pytest

from cluster.driver import JOB_VARIABLE, JobOrder, carry_out, ended_by, read_order
from configs.errors import LockedError
from configs.records import Ended, read_record
from configs.schema import Recipe


def recipe(storage: Path) -> Recipe:
    return Recipe.model_validate(
        {
            "name": "one",
            "storage": str(storage),
            "model": {"path": "m"},
            "task": {"kind": "text_classification"},
            "data": {"train": "d.csv", "validation": "10%"},
        }
    )


def test_order_and_job_are_read_from_the_environment(tmp_path: Path) -> None:
    spec = {
        "verb": "finetune",
        "recipe": recipe(tmp_path).model_dump(mode="json"),
        "arguments": {"resume": "yes"},
    }
    environment = {
        JOB_VARIABLE: json.dumps(spec),
        "RAY_JOB_CONFIG_JSON_ENV_VAR": '{"metadata": {"job_submission_id": "one.02"}}',
    }
    order = read_order(environment)
    assert order.recipe == recipe(tmp_path)
    assert (order.verb, order.arguments, order.job_id) == ("finetune", {"resume": "yes"}, "one.02")


def test_refusal_is_the_last_line_of_the_log(tmp_path: Path) -> None:
    log = io.StringIO()
    order = JobOrder(verb="stop", recipe=recipe(tmp_path), arguments={})
    ended = carry_out(order, log)
    [line] = log.getvalue().splitlines()
    assert read_record(line) == ended
    assert (ended.state, ended.error, ended.exit_code) == ("failed", "NotFoundError", 8)


def test_taken_name_is_refused_before_ray_is_asked(tmp_path: Path) -> None:
    from cluster.runs import create_run

    create_run(str(tmp_path), recipe(tmp_path), "one.01")
    order = JobOrder(verb="finetune", recipe=recipe(tmp_path), arguments={}, job_id="one.02")
    ended = carry_out(order, io.StringIO())
    assert (ended.error, ended.exit_code) == ("LockedError", LockedError.exit_code)


def test_fault_of_the_code_is_told_with_its_trace(capsys: pytest.CaptureFixture[str]) -> None:
    ended = ended_by(KeyError("x"))
    assert isinstance(ended, Ended)
    assert (ended.error, ended.exit_code) == ("TrainingError", 1)
    assert "KeyError" in capsys.readouterr().err
