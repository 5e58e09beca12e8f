"""Write the files by which sentence-transformers loads an exported folder; weights are export.py's.

The modules are those of the task: the model, its pooling (the mean over a text's tokens, if the
folder it came from says nothing else), then length 1; the folder's prompts are kept. Where
`model.pooling` says what a head reads, they are the model, that pooling and the head, which gives
the logits: no code of the folder runs. For transformers, whose classes pool in their own way, the
code lies beside.
"""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainers.tasks.pooling import CONFIG_KEY
from trainers.tasks.sentence_folder import Vectors

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

IDENTITY = "torch.nn.modules.linear.Identity"
POOLING_FOLDER = "1_Pooling"
HEAD_FOLDER = "2_Dense"
MODULES = (
    ("", "sentence_transformers.models.Transformer"),
    (POOLING_FOLDER, "sentence_transformers.models.Pooling"),
)
NORMALIZE = ("2_Normalize", "sentence_transformers.models.Normalize")
HEAD = (HEAD_FOLDER, "sentence_transformers.models.Dense")
"""Folder and class of each; the classes by the names that all its versions know."""


NO_FOLDER = Vectors()


@dataclass(frozen=True)
class PooledHead:
    """A linear head on what a pooling gives."""

    pooling: str
    """mean or cls"""
    weight: "Tensor"
    """(labels, width)"""
    bias: "Tensor"

    @classmethod
    def of(cls, model: "PreTrainedModel") -> "PooledHead":
        """Return the head of a model with `model.pooling`."""
        head: Any = model.pooled_classifier
        return cls(getattr(model.config, CONFIG_KEY), head.weight.detach(), head.bias.detach())


def add_own_class(folder: Path, model: "PreTrainedModel") -> None:
    """Put the class of a pooled model into a folder, and its name into the config to be saved."""
    from trainers.tasks import pooled_classifier

    source = Path(str(pooled_classifier.__file__))
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, folder / source.name)
    named = f"{source.stem}.{pooled_classifier.PooledClassifier.__name__}"
    model.config.auto_map = {"AutoModelForSequenceClassification": named}


def save_sentence_files(
    folder: Path,
    width: int,
    max_length: int,
    head: PooledHead | None = None,
    vectors: Vectors = NO_FOLDER,
) -> None:
    """Write modules.json and the settings of each module; without a head those of `vectors`.

    `width` is that of a vector, `max_length` the most tokens of a text.
    """
    last = HEAD if head is not None else NORMALIZE if vectors.has_length_1 else None
    listed = MODULES if last is None else (*MODULES, last)
    modules = [
        {"idx": place, "name": str(place), "path": path, "type": kind}
        for place, (path, kind) in enumerate(listed)
    ]
    for path, _ in listed:
        (folder / path).mkdir(exist_ok=True)
    if head is not None:
        _save_head(folder / HEAD_FOLDER, head)
    _write(folder / "modules.json", modules)
    _write(
        folder / "config_sentence_transformers.json",
        {
            "prompts": vectors.prompts,
            "default_prompt_name": vectors.default_prompt,
            "similarity_fn_name": "cosine",
        },
    )
    _write(
        folder / "sentence_bert_config.json",
        {"max_seq_length": max_length, "do_lower_case": False},
    )
    pooling = vectors.pooling if head is None else head.pooling
    _write(folder / POOLING_FOLDER / "config.json", _pooling_config(width, pooling))


def _pooling_config(width: int, pooling: str) -> dict[str, Any]:
    return {
        "word_embedding_dimension": width,
        "pooling_mode_cls_token": pooling == "cls",
        "pooling_mode_mean_tokens": pooling == "mean",
        "pooling_mode_max_tokens": pooling == "max",
        "pooling_mode_mean_sqrt_len_tokens": False,
        "pooling_mode_lasttoken": pooling == "lasttoken",
    }


def _save_head(folder: Path, head: PooledHead) -> None:
    from safetensors.torch import save_file

    labels, width = head.weight.shape
    settings = {"in_features": width, "out_features": labels, "bias": True}
    _write(folder / "config.json", settings | {"activation_function": IDENTITY})
    tensors = {"linear.weight": head.weight, "linear.bias": head.bias}
    stored = {name: tensor.contiguous() for name, tensor in tensors.items()}
    save_file(stored, folder / "model.safetensors", metadata={"format": "pt"})


def _write(file: Path, content: Any) -> None:
    file.write_text(json.dumps(content, indent=2) + "\n")
