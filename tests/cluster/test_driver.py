"""The driver as far as it needs no cluster."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cluster.driver import JOB_VARIABLE, JobOrder, carry_out, ended_by, read_order
from configs.errors import LockedError, RecipeError
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


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"recipe": {"name": "one"}}, "recipe.model: Field required"),
        ({"verb": "dance"}, "verb: Input should be"),
        ({"task": {"kind": "instruction_tuning", "messages": "m", "prompt": "p"}}, "both given"),
    ],
)
def test_an_order_that_cannot_be_read_ends_in_a_sentence(
    changes: dict[str, Any], words: str, tmp_path: Path
) -> None:
    whole = recipe(tmp_path).model_dump(mode="json")
    if task := changes.pop("task", None):
        changes["recipe"] = whole | {"task": task}
    spec = json.dumps({"verb": "finetune", "recipe": whole, "arguments": {}} | changes)
    with pytest.raises(RecipeError) as told:
        read_order({JOB_VARIABLE: spec})
    assert words in str(told.value) and "\n" not in str(told.value)
    done = subprocess.run(
        [sys.executable, "-m", "cluster.driver"],
        env=os.environ | {JOB_VARIABLE: spec},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=60,
    )
    ended = read_record(done.stdout.splitlines()[-1])
    assert isinstance(ended, Ended) and words in ended.message
    assert done.returncode == ended.exit_code == 2


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
