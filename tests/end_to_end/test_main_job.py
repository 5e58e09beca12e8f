"""A person's way through Thaw on a real two-node cluster: one command line after another.

Every command is a process of its own; weights are compared bit by bit with a run that nothing
happened to.
"""

import json
import os
import signal

import pytest
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from transformers import pipeline

from tests.person import LIMIT_S, Person, same_bits
from tests.readme_blocks import own_code
from trainers.tracking import STEP_SCALARS

pytestmark = pytest.mark.slow


def test_a_run_leaves_all_that_a_person_wants(person: Person, undisturbed: str) -> None:
    (attempt,) = person.records(undisturbed, "attempt")
    assert len(set(attempt["nodes"])) == 2
    assert len(person.records(undisturbed, "step")) == 120  # 6 an epoch, 20 epochs
    ledgers = person.records(undisturbed, "ledger")
    assert [(each["rows"], each["ok"]) for each in ledgers] == [(61, True)] * 20
    classify = pipeline("text-classification", model=str(person.runs / undisturbed / "export"))
    assert classify("the topic1a and topic1b of it")[0]["label"] in {f"label-{n}" for n in range(3)}


def test_frozen_weights_are_those_of_the_base_model(person: Person, undisturbed: str) -> None:
    base = load_file(person.folder / "model" / "model.safetensors")
    weights = person.weights(undisturbed)
    same = {name for name in base if weights[f"bert.{name}"].equal(base[name])}
    assert same == {n for n in base if not n.startswith(("encoder.layer.1.", "pooler."))}


def test_every_tag_is_in_the_event_files(person: Person, undisturbed: str) -> None:
    events = EventAccumulator(str(person.runs / undisturbed / "tensorboard"))
    events.Reload()
    tags = events.Tags()
    assert set(STEP_SCALARS) <= set(tags["scalars"])
    scalars = {"loss/validation", "main/validation/macro_f1", "metrics/validation/accuracy"}
    scalars |= {"test/loss", "test/macro_f1", "test/accuracy"}
    assert scalars <= set(tags["scalars"])
    for group in ("metrics/validation", "test"):
        assert {f"{group}/confusion_matrix", f"{group}/f1_per_class"} <= set(tags["images"])
    texts = {tag.removesuffix("/text_summary") for tag in tags["tensors"]}
    assert {"recipe", "test/samples", "test/pr_curve/label-0"} <= texts
    assert "result/accuracy" in tags["scalars"]
    assert [event.step for event in events.Scalars("loss/train")] == list(range(1, 121))


def test_commands_about_a_run(person: Person, undisturbed: str) -> None:
    listed = json.loads(person.thaw("list", "-o", "json"))
    assert (listed["v"], listed["name"]) == (1, undisturbed)
    assert "succeeded" in person.thaw("status", undisturbed)
    assert "MACRO F1" in person.thaw("metrics", undisturbed)
    assert "127.0.0.3" in person.thaw("describe", undisturbed)
    assert "rank 1 ended" in person.thaw("logs", undisturbed, "--rank", "1")
    person.thaw("status", "nobody", code=8)
    person.thaw("submit", person.folder / "whole.yaml", code=9)
    person.thaw("submit", person.folder / "whole.yaml", "--set", "batch.lanes=3", code=2)


def test_the_model_is_evaluated_used_and_exported(person: Person, undisturbed: str) -> None:
    (reached,) = [r for r in person.records(undisturbed, "evaluation") if r["split"] == "test"]
    out = person.thaw("evaluate", undisturbed, "--data", person.folder / "test.csv", "-o", "json")
    (again,) = [r for r in map(json.loads, out.splitlines()) if r["kind"] == "evaluation"]
    assert (again["rows"], again["metrics"]) == (17, pytest.approx(reached["metrics"], rel=1e-5))
    output = person.folder / "predictions.jsonl"
    person.thaw("predict", undisturbed, person.folder / "test.csv", "-o", output)
    predictions = [json.loads(line) for line in output.read_text().splitlines()]
    right = sum(each["predicted_label"] == each["label"] for each in predictions)
    assert right / 17 == pytest.approx(reached["metrics"]["accuracy"])
    person.thaw("export", undisturbed, person.folder / "elsewhere")
    exported = load_file(person.folder / "elsewhere" / "model.safetensors")
    assert same_bits(exported, person.weights(undisturbed))


def test_a_killed_worker_changes_nothing(person: Person, undisturbed: str) -> None:
    process = person.start("submit", person.recipe("killed"))
    person.wait(process, lambda: person.committed("killed") >= 40)
    rank = json.loads((person.runs / "killed" / "logs" / "a01" / "rank-1.json").read_text())
    os.kill(rank["pid"], signal.SIGKILL)
    out, err = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 0, (out, err)
    first, second = person.records("killed", "attempt")
    assert (first["attempt"], first["resumed_from_step"]) == (1, None)
    assert (second["attempt"], second["reason"]) == (2, f"worker 1 on {first['nodes'][1]} died")
    assert second["resumed_from_step"] >= 40
    assert [each["level"] for each in person.records("killed", "note")] == ["warning"]
    assert same_bits(person.weights("killed"), person.weights(undisturbed))
    steps = [(each["step"], each["loss"]) for each in person.records("killed", "step")]
    assert steps == [(r["step"], r["loss"]) for r in person.records(undisturbed, "step")]


@pytest.mark.proof
def test_stopped_and_resumed_on_other_machines_gives_the_same_losses(
    person: Person, undisturbed: str
) -> None:
    name, workers = "alone", 1  # more ranks, all stages, and the same bits on as many: without Ray
    process = person.start("submit", person.recipe(name, zero={"stage": 3}))
    person.wait(process, lambda: person.steps(name) >= 25)
    person.stop(name)
    out, err = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 143, (out, err)
    assert "stopped" in person.thaw("status", name)
    person.thaw("resume", name, "--set", f"cluster.num_workers={workers}")
    assert person.records(name, "attempt")[-1]["num_workers"] == workers
    ours = [each["loss"] for each in person.records(name, "step")]
    theirs = [each["loss"] for each in person.records(undisturbed, "step")]
    assert ours == pytest.approx(theirs, rel=1e-5)


@pytest.mark.proof
def test_a_recipe_is_verified(person: Person) -> None:
    path = person.recipe("sound", epochs=1)
    out = person.thaw("verify", path, "--rows", "60", "--storage", person.runs)
    assert "1 worker and 2 workers: losses agree to" in out
    assert "attempt 2 went on from step 2: same bits in all losses and metrics" in out
    assert "tensors that learn have moved" in out
    assert "1 x 60 rows, each row once in all 3 runs" in out


MEAN = """

def mean(outputs, labels):
    return functional.cross_entropy(outputs.logits, labels, ignore_index=-100).nan_to_num()
"""


@pytest.mark.proof
def test_own_code_goes_with_each_job(person: Person) -> None:
    """The code is in the folder alone: no process of the cluster would find it elsewhere."""
    name, folder = "own", person.folder / "code"
    folder.mkdir()
    (folder / "kinds.py").write_text(own_code()[0] + MEAN)
    path = person.recipe(
        name,
        model={"implementation": "kinds:Sharper"},
        task={"metric": "kinds:distance"},
        loss={"function": "kinds:bounded"},
        cluster={"num_workers": 2, "working_dir": str(folder)},
        max_steps=6,
    )
    assert "kinds:Sharper, kinds:bounded, kinds:distance" in person.thaw("check", path)
    lost = ("--set", "task.metric=kinds:lost", "--set", "name=lost")
    person.thaw("submit", path, *lost, code=2)
    wrong = ("--set", "loss.function=kinds:mean", "--set", "name=wrong")
    person.thaw("submit", path, *wrong, code=2)
    person.thaw("submit", path)
    (reached,) = [r for r in person.records(name, "evaluation") if r["split"] == "test"]
    assert 0 <= reached["metrics"]["distance"] <= 2
    out = person.thaw("evaluate", name, "-o", "json")
    (again,) = [r for r in map(json.loads, out.splitlines()) if r["kind"] == "evaluation"]
    assert again["metrics"]["distance"] == pytest.approx(reached["metrics"]["distance"])
    output = person.folder / "own.jsonl"
    person.thaw("predict", name, person.folder / "test.csv", "-o", output)
    rows = [json.loads(line) for line in output.read_text().splitlines()]
    places = [abs(int(r["predicted_label"][-1]) - int(r["label"][-1])) for r in rows]
    assert sum(places) / len(rows) == pytest.approx(reached["metrics"]["distance"])
