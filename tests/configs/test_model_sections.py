"""What of the model learns, and how."""

import pytest
from pydantic import ValidationError

from configs.model_sections import Model, Optimizer, Schedule, Zero


def test_remote_code_needs_a_pinned_commit():
    for revision in (None, "main", "a" * 39):
        with pytest.raises(ValidationError, match="40-digit commit"):
            Model(path="x", trust_remote_code=True, revision=revision)
    assert Model(path="x", trust_remote_code=True, revision="a" * 40).trust_remote_code


NVME = {"stage": 3, "offload_parameters": "nvme"}


@pytest.mark.parametrize("path", ["/models/mine", "./mine", "../mine", "~/mine"])
def test_remote_code_of_a_folder_is_what_lies_there(path):
    assert Model(path=path, trust_remote_code=True).is_folder


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ({"offload_optimizer": "cpu"}, "needs stage 1, 2 or 3"),
        ({"stage": 2, "offload_parameters": "cpu"}, "needs stage 3"),
        ({"stage": 3, "offload_parameters": "nvme"}, "needs nvme_path"),
        ({"nvme_path": "/nvme"}, "nothing is offloaded to nvme"),
        ({**NVME, "nvme_path": ""}, "'' is not the whole path of a folder"),
        ({**NVME, "nvme_path": "nvme"}, "nvme is not the whole path of a folder"),
        ({**NVME, "nvme_path": "~/nvme"}, "~/nvme is not the whole path of a folder"),
        ({**NVME, "nvme_path": "/dev/null"}, "a place of the system"),
        ({**NVME, "nvme_path": "/"}, "is the root of the file system"),
        ({"overrides": {"train_batch_size": 8}}, "may not set train_batch_size"),
        (
            {"overrides": {"zero_optimization": {"stage": 3}}},
            "may not set zero_optimization.stage",
        ),
    ],
)
def test_zero_that_contradicts_the_recipe_is_refused(value, sentence):
    with pytest.raises(ValidationError, match=sentence):
        Zero.model_validate(value)


def test_numbers_are_finite_and_betas_are_decays():
    for learning_rate in (float("inf"), float("nan"), 0):
        with pytest.raises(ValidationError):
            Optimizer(learning_rate=learning_rate)
    with pytest.raises(ValidationError, match="betas"):
        Optimizer(betas=(0.9, 1.0))


def test_a_slanted_triangle_needs_no_warmup():
    with pytest.raises(ValidationError, match="a rise and an end of its own"):
        Schedule(name="slanted_triangular", warmup_ratio=0.1)
