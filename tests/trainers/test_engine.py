"""What DeepSpeed is told."""

from pathlib import Path

import deepspeed
import pytest
import torch

from configs.errors import RecipeError
from configs.model_sections import Optimizer, Zero
from configs.schema import Recipe
from tests.recipes import tiny_recipe
from trainers.engine import (
    build_optimizer,
    deepspeed_config,
    refuse_no_offload_folder,
    running_stage,
    start_distributed,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A place for the tiny model that recipes name."""
    return tmp_path_factory.mktemp("engine")


def _recipe(folder: Path, **sections: object) -> Recipe:
    return tiny_recipe(folder, **sections)


def test_deepspeed_owns_gradient_accumulation(folder: Path) -> None:
    config = deepspeed_config(_recipe(folder), world_size=2, num_trainable=10)
    assert config["train_batch_size"] == 4  # lanes
    assert config["train_micro_batch_size_per_gpu"] == 1
    assert config["gradient_accumulation_steps"] == 2  # lanes / ranks


@pytest.mark.parametrize(("norm", "expected"), [(0.7, 0.7), (0.0, 1e30)])
def test_clipping_is_always_written(folder: Path, norm: float, expected: float) -> None:
    recipe = _recipe(folder, zero={"stage": 2}, optimizer={"max_grad_norm": norm})
    assert deepspeed_config(recipe, 2, 10)["gradient_clipping"] == expected
    # Stage 0 is clipped by the step itself, which reports the norm.
    assert deepspeed_config(_recipe(folder), 2, 10)["gradient_clipping"] == 0.0


def test_buckets_are_no_larger_than_what_learns(folder: Path) -> None:
    recipe = _recipe(folder, zero={"stage": 1, "reduce_bucket_elements": 1000})
    assert deepspeed_config(recipe, 2, 10)["zero_optimization"]["reduce_bucket_size"] == 10
    assert deepspeed_config(recipe, 2, 10**6)["zero_optimization"]["reduce_bucket_size"] == 1000


def test_few_ranks_send_two_bytes_per_trainable_byte(folder: Path) -> None:
    recipe = _recipe(folder, zero={"stage": 2}, batch={"lanes": 16})
    for world_size, by_bucket in ((2, False), (8, False), (16, True)):
        zero = deepspeed_config(recipe, world_size, 10)["zero_optimization"]
        assert zero["use_multi_rank_bucket_allreduce"] is by_bucket


def test_overrides_and_offload_are_laid_over(folder: Path) -> None:
    zero = {
        "stage": 3,
        "offload_optimizer": "cpu",
        "offload_parameters": "nvme",
        "nvme_path": "/tmp/nvme",
        "overrides": {"zero_optimization": {"stage3_max_live_parameters": 7}, "fp16": {"x": 1}},
    }
    config = deepspeed_config(_recipe(folder, zero=zero), 2, 10)
    assert config["zero_optimization"]["stage3_max_live_parameters"] == 7
    assert config["zero_optimization"]["stage"] == 3
    assert config["zero_optimization"]["offload_optimizer"] == {"device": "cpu"}
    assert config["zero_optimization"]["offload_param"] == {
        "device": "nvme",
        "nvme_path": "/tmp/nvme",
    }
    assert config["fp16"] == {"x": 1}


def test_what_is_offloaded_needs_a_folder_on_the_node(tmp_path: Path) -> None:
    def refuse(path: Path) -> None:
        zero = Zero(stage=3, offload_parameters="nvme", nvme_path=str(path))
        refuse_no_offload_folder(zero)

    refuse_no_offload_folder(Zero())
    refuse(tmp_path / "new" / "nvme")
    assert (tmp_path / "new" / "nvme").is_dir()
    (tmp_path / "file").touch()
    with pytest.raises(RecipeError, match=r"file\) is no folder on a node. Name a folder"):
        refuse(tmp_path / "file")
    with pytest.raises(RecipeError, match=r"below\) cannot be made: Not a directory on a node"):
        refuse(tmp_path / "file" / "below")


def test_half_precision_runs_under_zero(folder: Path) -> None:
    recipe = _recipe(folder, precision="bf16")
    assert (running_stage(recipe), running_stage(_recipe(folder))) == (1, 0)
    config = deepspeed_config(recipe, 1, 10)
    assert config["bf16"] == {"enabled": True}
    assert config["data_types"] == {"grad_accum_dtype": "fp32"}


@pytest.mark.parametrize(
    ("name", "kind"),
    [("adamw", torch.optim.AdamW), ("adam", torch.optim.Adam), ("sgd", torch.optim.SGD)],
)
def test_the_optimizer_is_torchs(name: str, kind: type) -> None:
    parameter = torch.nn.Parameter(torch.zeros(2))
    groups = [{"params": [parameter], "weight_decay": 0.1}]
    optimizer = build_optimizer(groups, Optimizer(name=name, learning_rate=0.5))
    assert type(optimizer) is kind
    assert optimizer.param_groups[0]["lr"] == 0.5
    assert optimizer.param_groups[0]["weight_decay"] == 0.1


def test_nothing_is_compiled_for_the_process_group(tmp_path: Path) -> None:
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{tmp_path / 'store'}", rank=0, world_size=1
    )
    try:
        start_distributed("cpu")
        assert deepspeed.comm.comm.cdb.shm_comm_op is None
    finally:
        torch.distributed.destroy_process_group()
