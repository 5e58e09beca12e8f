"""One sentence for each thing that is wrong with plain values."""

import pytest

from configs.problems import MAX_TOLD, describe_problems, limited

GOOD = {
    "name": "x",
    "model": {"path": "base"},
    "task": {"kind": "text_classification"},
    "data": {"train": "a.csv"},
}


def test_good_values_have_no_problem():
    assert describe_problems(dict(GOOD), {}) == []


@pytest.mark.parametrize(
    ("extra", "sentence"),
    [
        ({"epoch": 3}, "epoch is not a key of a recipe. Did you mean epochs?"),
        (
            {"optimizer": {"lr": 1}},
            "optimizer.lr is not a key of a recipe. Did you mean optimizer.learning_rate?",
        ),
        (
            {"epochs": [{"'": None}, [[1]], None, *range(30)]},
            "epochs: found [a mapping, a list, nothing, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9..., must be "
            "a whole number.",
        ),
        (
            {"task": {"kind": "sequence_to_sequence", "answer": "a"}},
            "task.answer is not a key of a recipe. Did you mean task.target?",
        ),
        (
            {"num_train_epochs": 3},
            "num_train_epochs is not a key of a recipe. Did you mean epochs?",
        ),
        (
            {"microbatch_size": 3},
            "microbatch_size is not a key of a recipe. Did you mean batch.microbatch_size?",
        ),
        (
            {"schedule": {"zzz": 3}},
            "schedule.zzz is not a key of a recipe. Allowed here: name, per, warmup_steps, "
            "warmup_ratio, final_ratio, cycles, cut_fraction, ratio.",
        ),
        ({"epochs": 0}, "epochs: found 0, must be at least 1."),
        ({"epochs": "two"}, "epochs: found 'two', must be a whole number."),
        ({"epochs": None}, "epochs: found nothing, must be a whole number."),
        ({"epochs": 1.5}, "epochs: found 1.5, must be a whole number."),
        ({"seed": True}, "seed: found true, must be a number."),
        ({"batch": [1]}, "batch: found [1], must be a mapping of keys to values."),
        (
            {"cluster": {"env": {"A": 1}}},
            "cluster.env.A: found 1, must be text. Put quotes around it.",
        ),
        (
            {"tracking": {"tensorboard": "perhaps"}},
            "tracking.tensorboard: found 'perhaps', must be true or false.",
        ),
        (
            {"optimizer": {"betas": [0.9]}},
            "optimizer.betas: found [0.9]. Give decay of the two moments of adam and adamw.",
        ),
        (
            {"precision": "bf61"},
            "precision: found 'bf61', allowed is fp32 or bf16 or fp16. Did you mean bf16?",
        ),
        (
            {"freezing": {"lsat": 2}},
            "freezing.lsat is not a key of a recipe. Did you mean freezing.last?",
        ),
        (
            {"freezing": "partial"},
            "freezing: mode partial names nothing that learns. Give last, train or embeddings.",
        ),
        (
            {"schedule": {"warmup_steps": 1, "warmup_ratio": 0.1}},
            "schedule: warmup_steps and warmup_ratio are both given. Keep one.",
        ),
        ({"model": {"path": ""}}, "model.path: found '', must be text that is not empty."),
    ],
)
def test_one_problem_is_one_sentence(extra, sentence):
    assert describe_problems({**GOOD, **extra}, {}) == [sentence]


def test_the_values_are_left_as_they_were():
    values = {**GOOD, "batch": {"lanes": 0, "nope": 1}}
    describe_problems(values, {})
    assert values["batch"] == {"lanes": 0, "nope": 1}


def test_the_nearest_known_place_is_named():
    origins = {(): "r.yaml, line 1", ("batch",): "r.yaml, line 9", ("epochs",): "--set"}
    values = {**GOOD, "batch": {"lanes": 0}, "epochs": 0, "seed": -1}
    assert describe_problems(values, origins) == [
        "r.yaml, line 9: batch.lanes: found 0, must be at least 1.",
        "--set: epochs: found 0, must be at least 1.",
        "r.yaml: seed: found -1, must be at least 0.",
    ]


def test_two_disagreements_between_sections_are_two_sentences():
    values = {
        **GOOD,
        "batch": {"lanes": 3},
        "cluster": {"num_workers": 2},
        "early_stopping": {"metric": "loss"},
    }
    assert describe_problems(values, {}) == [
        "early_stopping needs data.validation. Give it, such as 10%.",
        "batch.lanes (3) is not a multiple of cluster.num_workers (2). Use 2 or 4 lanes.",
    ]


def test_the_kinds_of_task_are_all_named_and_the_nearest_too():
    values = {"name": "a", "model": {"path": "b"}, "data": {"train": "c"}}
    (found,) = describe_problems(values | {"task": {"kind": "text_regresion", "value": "v"}}, {})
    assert "text_classification or multi_label_classification" in found
    assert found.endswith("Did you mean text_regression?")
    (absent,) = describe_problems(values | {"task": {}}, {})
    assert absent.startswith("task.kind is missing. Give it (text_classification or")


def test_very_many_problems_are_counted_not_told() -> None:
    found = describe_problems(GOOD | {f"key{number}": number for number in range(10_000)}, {})
    assert len(found) == MAX_TOLD + 1
    assert found[0].startswith("key0 is not a key of a recipe.")
    assert found[-1] == "There are 9,980 more problems. Correct these first."
    one_more = [f"{number}." for number in range(MAX_TOLD + 1)]
    assert limited(one_more)[-1] == "There is 1 more problem. Correct these first."
    assert limited(one_more[1:]) == one_more[1:]


@pytest.mark.parametrize(
    ("extra", "sentence"),
    [
        ({"model": "minilm"}, "Write it as {path: minilm}."),
        ({"task": "text_classification"}, "Write it as {kind: text_classification}."),
        ({"data": "rows.csv"}, "Write it as {train: rows.csv}."),
        ({"zero": 2}, "Write it as {stage: 2}."),
        ({"cluster": 4}, "must be a mapping of keys to values."),
        (
            {"training": {"epochs": 3, "lr": 1}},
            "Write what is in it as epochs and optimizer.learning_rate.",
        ),
        ({"modle": {"path": "x"}}, "Did you mean model?"),
        ({"training": {"zzz": 3}}, "Did you mean tracking?"),
    ],
)
def test_a_section_that_is_none_is_told_how_to_be_one(extra, sentence) -> None:
    assert describe_problems(GOOD | extra, {})[0].endswith(sentence)


def test_true_is_no_choice_of_numbers() -> None:
    found = describe_problems(GOOD | {"zero": {"stage": True}}, {})
    assert found == ["zero.stage: found true, must be a number."]
