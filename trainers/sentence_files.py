"""Write the files by which sentence-transformers loads an exported folder; weights are export.py's.

The modules are those of the task: the model, the mean over a text's tokens, length 1.
"""

import json
from pathlib import Path
from typing import Any

POOLING_FOLDER = "1_Pooling"
MODULES = (
    ("", "sentence_transformers.models.Transformer"),
    (POOLING_FOLDER, "sentence_transformers.models.Pooling"),
    ("2_Normalize", "sentence_transformers.models.Normalize"),
)
"""Folder and class of each; the classes by the names that all its versions know."""


def save_sentence_files(folder: Path, width: int, max_length: int) -> None:
    """Write modules.json and the settings of each module.

    `width` is that of a vector, `max_length` the most tokens of a text.
    """
    modules = [
        {"idx": place, "name": str(place), "path": path, "type": kind}
        for place, (path, kind) in enumerate(MODULES)
    ]
    for path, _ in MODULES:
        (folder / path).mkdir(exist_ok=True)
    _write(folder / "modules.json", modules)
    _write(
        folder / "config_sentence_transformers.json",
        {"prompts": {}, "default_prompt_name": None, "similarity_fn_name": "cosine"},
    )
    _write(
        folder / "sentence_bert_config.json",
        {"max_seq_length": max_length, "do_lower_case": False},
    )
    _write(
        folder / POOLING_FOLDER / "config.json",
        {
            "word_embedding_dimension": width,
            "pooling_mode_cls_token": False,
            "pooling_mode_mean_tokens": True,
            "pooling_mode_max_tokens": False,
            "pooling_mode_mean_sqrt_len_tokens": False,
        },
    )


def _write(file: Path, content: Any) -> None:
    file.write_text(json.dumps(content, indent=2) + "\n")
