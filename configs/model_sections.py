"""Recipe sections about the model and how it is trained; what of it learns stands elsewhere."""

import re
from itertools import islice
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from configs.addresses import address_problem, shown_address
from configs.deepspeed_keys import unknown_keys
from configs.import_paths import ImportPath

SECTION = ConfigDict(
    frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True
)

MAX_UNKNOWN = 20
FIXED_BY_RECIPE = {
    "train_batch_size",
    "train_micro_batch_size_per_gpu",
    "gradient_accumulation_steps",
    "optimizer",
    "scheduler",
    "gradient_clipping",
}
"""DeepSpeed settings that other keys of the recipe decide."""


class Model(BaseModel):
    """The pre-trained model that is fine-tuned."""

    model_config = SECTION

    path: str = Field(min_length=1)
    """Hugging Face hub id, or a folder that every node sees, with config, weights and tokenizer."""
    revision: str | None = None
    """Branch, tag or commit of a hub model; None takes the default branch."""
    from_scratch: bool = False
    """Take the config alone and begin with random weights."""
    dtype: Literal["float32", "bfloat16", "float16"] | None = None
    """Element type of the exported weights; None exports float32, whatever `precision` is."""
    dropout: float | None = Field(default=None, ge=0, lt=1)
    """Probability that replaces every dropout rate of the model; None keeps the model's own."""
    pooling: Literal["own", "mean", "cls", "folder"] = "own"
    """What the head of a text task reads: `own`, as the model's class does it; the `mean` of the
    last hidden states of a text's tokens, or that of its first token (`cls`); or the one of both
    that a folder of sentence-transformers says (1_Pooling)."""
    attention: Literal["eager", "sdpa", "flash_attention_2"] | None = None
    """Attention implementation; None lets transformers choose."""
    trust_remote_code: bool = False
    """Run code that comes with the model; one of the hub needs a pinned `revision`."""
    implementation: ImportPath | None = None
    """Own model class, `module:Class` from cluster.working_dir, in the place of the AutoModel class
    of the task: it has from_pretrained and from_config as those of transformers have."""

    @field_validator("path")
    @classmethod
    def _path_is_no_address(cls, path: str) -> str:
        if "://" in path or not path.isprintable() or not path.strip():
            raise ValueError(
                f"{shown_address(path)} is neither a folder nor an id of the hub. Copy the model "
                "to a folder that every node sees, or give its id such as org/name"
            )
        return path

    @model_validator(mode="after")
    def _remote_code_is_pinned(self) -> Self:
        pinned = re.fullmatch(r"[0-9a-f]{40}", self.revision or "")
        if self.trust_remote_code and not self.is_folder and not pinned:
            raise ValueError(
                "trust_remote_code runs the model's own code and needs a commit, found "
                f"{f'revision {self.revision}' if self.revision else 'no revision'}. Set "
                "model.revision to the 40-digit commit that you have read, or write a folder as "
                "./folder"
            )
        return self

    @property
    def is_folder(self) -> bool:
        """Whether the path is one of a folder, not the id of a model of the hub."""
        return self.path.startswith(("/", "./", "../", "~")) or self.path.count("/") > 1


class Optimizer(BaseModel):
    """How gradients become weights."""

    model_config = SECTION

    name: Literal["adamw", "adam", "sgd"] = "adamw"
    """Update rule (torch.optim)."""
    learning_rate: float = Field(default=5e-5, gt=0)
    """Peak learning rate, the same for any number of workers."""
    betas: tuple[float, float] = (0.9, 0.999)
    """Decay of the two moments of adam and adamw."""
    eps: float = Field(default=1e-8, gt=0)
    """Added to the denominator of adam and adamw."""
    momentum: float = Field(default=0.0, ge=0, lt=1)
    """Momentum of sgd."""
    weight_decay: float = Field(default=0.0, ge=0)
    """Weight decay per step; biases and normalisation weights are never decayed."""
    max_grad_norm: float = Field(default=1.0, ge=0)
    """Global L2 norm to which gradients are clipped; 0 does not clip."""

    @field_validator("betas")
    @classmethod
    def _betas_are_decays(cls, betas: tuple[float, float]) -> tuple[float, float]:
        if not all(0 <= beta < 1 for beta in betas):
            raise ValueError(f"found {list(betas)}, each must be at least 0 and less than 1")
        return betas


class Schedule(BaseModel):
    """How the learning rate moves over the optimizer steps."""

    model_config = SECTION

    name: Literal["constant", "linear", "cosine", "cosine_restarts", "slanted_triangular"] = (
        "linear"
    )
    """Course after warmup: stays, falls in a line or along half a cosine, once or again and again;
    slanted_triangular (ULMFiT) rises quickly and falls slowly."""
    per: Literal["run", "phase"] = "run"
    """Whether the course goes once over the run or begins anew with each phase."""
    warmup_steps: int | None = Field(default=None, ge=0)
    """Optimizer steps over which the rate rises from 0 to its peak."""
    warmup_ratio: float | None = Field(default=None, ge=0, lt=1)
    """The same as a share of all optimizer steps."""
    final_ratio: float = Field(default=0.0, ge=0, le=1)
    """Share of the peak rate that is left at the last step."""
    cycles: int = Field(default=4, ge=1)
    """With cosine_restarts: how often the rate falls."""
    cut_fraction: float = Field(default=0.1, gt=0, lt=1)
    """With slanted_triangular: share of the steps over which the rate rises."""
    ratio: float = Field(default=32.0, ge=1)
    """With slanted_triangular: how many times smaller the lowest rate is than the peak."""

    @model_validator(mode="after")
    def _one_course(self) -> Self:
        if self.warmup_steps is not None and self.warmup_ratio is not None:
            raise ValueError("warmup_steps and warmup_ratio are both given. Keep one")
        warmup = self.warmup_steps or self.warmup_ratio or self.final_ratio
        if self.name == "slanted_triangular" and warmup:
            raise ValueError(
                "slanted_triangular has a rise and an end of its own. Use cut_fraction and ratio, "
                "not warmup and final_ratio"
            )
        return self


class Zero(BaseModel):
    """How DeepSpeed ZeRO shards the training state over the workers."""

    model_config = SECTION

    stage: Literal[0, 1, 2, 3] = 0
    """What is sharded: 0 nothing, 1 optimizer state, 2 and gradients, 3 and parameters."""
    offload_optimizer: Literal["none", "cpu", "nvme"] = "none"
    """Where the optimizer state lives while it is not used."""
    offload_parameters: Literal["none", "cpu", "nvme"] = "none"
    """Where the parameters live while they are not used (stage 3)."""
    nvme_path: str | None = None
    """Whole path of a folder on a disk of every node, for what is offloaded to nvme."""
    reduce_bucket_elements: int = Field(default=500_000_000, gt=0)
    """Elements reduced at once; smaller needs less memory."""
    gather_bucket_elements: int = Field(default=500_000_000, gt=0)
    """Elements gathered at once (stages 1 and 2), or prefetched (stage 3)."""
    overrides: dict[str, Any] = {}
    """Raw DeepSpeed settings laid over ours; keys that fix the batch or the stage are refused."""

    @field_validator("nvme_path")
    @classmethod
    def _nvme_path_is_whole(cls, path: str | None) -> str | None:
        if path is None:
            return None
        if not path.startswith("/"):
            raise ValueError(
                f"{shown_address(path)} is not the whole path of a folder on the nodes. Write one "
                "such as /nvme"
            )
        if problem := address_problem(path, to_write=True):
            raise ValueError(problem)
        return path

    @model_validator(mode="after")
    def _offload_fits_stage(self) -> Self:
        if self.offload_optimizer != "none" and self.stage == 0:
            raise ValueError("offload_optimizer needs stage 1, 2 or 3, found 0. Set one of them")
        if self.offload_parameters != "none" and self.stage != 3:
            raise ValueError(f"offload_parameters needs stage 3, found {self.stage}. Set it to 3")
        if self.offloads_to_nvme and self.nvme_path is None:
            raise ValueError("offload to nvme needs nvme_path. Give a folder such as /nvme")
        if self.nvme_path is not None and not self.offloads_to_nvme:
            raise ValueError(
                "nvme_path is given but nothing is offloaded to nvme. Set offload_optimizer or "
                "offload_parameters to nvme, or leave it out"
            )
        inner = self.overrides.get("zero_optimization")
        stage = (
            {"zero_optimization.stage"} if isinstance(inner, dict) and "stage" in inner else set()
        )
        if taken := sorted((FIXED_BY_RECIPE & set(self.overrides)) | stage):
            raise ValueError(
                f"overrides may not set {', '.join(taken)}: the recipe's own keys do. Leave it out"
            )
        if unknown := list(islice(unknown_keys(self.overrides), MAX_UNKNOWN)):
            raise ValueError("; ".join(unknown))
        return self

    @property
    def offloads_to_nvme(self) -> bool:
        """Whether anything is offloaded to a folder on disk."""
        return "nvme" in (self.offload_optimizer, self.offload_parameters)
