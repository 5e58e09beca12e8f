"""Write the README.md that tells where exported weights come from; the weights are export.py's."""

import html
import re
from dataclasses import dataclass
from typing import Literal

from configs.import_paths import split_import_path
from configs.outside_text import code_span, one_line, visible
from configs.schema import Recipe
from configs.task_sections import SentenceEmbedding
from configs.yaml_text import write_yaml
from trainers.data.store import Manifest
from trainers.masking import masked
from trainers.shown_paths import shown_model, without_places
from trainers.tasks import functions_of

TEMPLATE = """\
---
library_name: {{ "sentence-transformers" if embeds else "transformers" }}
pipeline_tag: {{ task.hub_task or task.pipeline }}
{%- if base_model %}
base_model: {{ base_model | tojson }}
{%- endif %}
tags:
- thaw
---

# {{ recipe.name | md }}

{{ recipe.task.kind | replace("_", " ") | capitalize }}
{%- if labels %} with {{ labels | length }} labels{% endif -%}
, fine-tuned from {{ base_name | code }} with Thaw.

```python
{% if implementation -%}
from {{ implementation[0] }} import {{ implementation[1] }}

model = {{ implementation[1] }}.from_pretrained("path/to/this/folder")
{%- elif embeds -%}
from sentence_transformers import SentenceTransformer

model = SentenceTransformer("path/to/this/folder")
vectors = model.encode(["a text", "another text"])
{%- elif pooled -%}
from transformers import pipeline

# Runs pooled_classifier.py of this folder.
pipe = pipeline("{{ task.pipeline }}", model="path/to/this/folder", trust_remote_code=True)
{%- elif task.pipeline -%}
from transformers import pipeline

pipe = pipeline("{{ task.pipeline }}", model="path/to/this/folder")
{%- else -%}
from transformers import AutoTokenizer, {{ task.auto_model }}

tokenizer = AutoTokenizer.from_pretrained("path/to/this/folder")
model = {{ task.auto_model }}.from_pretrained("path/to/this/folder")
inputs = tokenizer({{ (recipe.task.prefix ~ "a text") | tojson }}, return_tensors="pt")
texts = tokenizer.batch_decode(model.generate(**inputs), skip_special_tokens=True)
{%- endif %}
```

{% if pooled -%}
The head reads {{ "the first token" if pooled == "cls" else "the mean of all tokens" }}, as no class
of transformers does: without `trust_remote_code` a new head is drawn. To run no code of this
folder, let sentence-transformers give the logits, in the order of the labels:

```python
from sentence_transformers import SentenceTransformer

logits = SentenceTransformer("path/to/this/folder").encode(["a text", "another text"])
```

{% endif -%}
{% if recipe.freezing.lora -%}
Its weights hold what {{ recipe.freezing.lora.title }} learned. `adapter/` holds that alone, with
the head, to be put onto the base model:

```python
from peft import PeftModel
{% if pooled -%}
from pooled_classifier import PooledClassifier  # a file of this folder

base = PooledClassifier.from_pretrained({{ base_name | tojson }}, thaw_pooling={{
  pooled | tojson }}{% if labels %}, num_labels={{ labels | length }}{% endif %})
{%- else -%}
from transformers import {{ task.auto_model }}

base = {{ task.auto_model }}.from_pretrained({{ base_name | tojson }}{% if labels %}, num_labels={{
  labels | length }}{% endif %})
{%- endif %}
model = PeftModel.from_pretrained(base, "path/to/this/folder/adapter")
```

{% endif -%}
## Metrics
{% if metrics %}
Over every row of the {{ split }} split, each counted once ({{ rows }} rows).

| metric | value |
|---|---|
{%- for name, value in metrics.items() %}
| {{ name | md }} | {{ "undefined" if value != value else "%.4f" | format(value) }} |
{%- endfor %}
{% else %}
The recipe had no split to evaluate.
{% endif %}
## Data

| split | rows |
|---|---|
{%- for name, info in manifest.splits.items() %}
| {{ name }} | {{ info.rows }} |
{%- endfor %}

{{ manifest.report.rows_in }} rows were read and {{ manifest.report.duplicates }} duplicates dropped
{%- for reason, count in manifest.report.dropped.items() -%}
, {{ count }} rows dropped ({{ reason | md }})
{%- endfor %}.
{%- if manifest.images %} Images were brought to {{ manifest.images.fed_width }} x {{
  manifest.images.fed_height }} pixels; their median was {{ manifest.images.width }} x {{
  manifest.images.height }}.
{%- elif manifest.max_length > 1 %} Texts of more than {{ manifest.max_length }} tokens were cut.
{%- endif %}
Fingerprint of the prepared data: `{{ manifest.fingerprint }}`.

{% if labels -%}
## Labels

{% for label in labels %}{{ loop.index0 }}. {{ label | code }}
{% endfor %}
{% endif -%}
## Licence

Unknown. The licences of the base model and of the data apply; neither was checked.

## Recipe

Of absolute paths the last parts are shown.

```yaml
{{ yaml }}
```
"""


@dataclass(frozen=True)
class Origin:
    """Where exported weights come from."""

    recipe: Recipe
    manifest: Manifest
    metrics: dict[str, float]
    """Metrics of the test split, or of validation where there is none; empty without both."""
    pooling: Literal["mean", "cls"] | None = None
    """What the head reads, where the recipe says it."""


def is_hub_id(path: str) -> bool:
    """Say whether a model path names a hub model: a folder of this machine tells nobody else."""
    return path.count("/") <= 1 and path[0] not in "./~"


def render_model_card(origin: Origin) -> str:
    """Tell labels, data, metrics and recipe of exported weights, as Markdown."""
    # Imported here: only the end of a run needs it.
    from jinja2 import Environment, StrictUndefined

    recipe, manifest = origin.recipe, origin.manifest
    splits = [name for name in ("test", "validation") if name in manifest.splits]
    own = recipe.model.implementation
    path, from_hub = recipe.model.path, is_hub_id(recipe.model.path)
    # The result is Markdown for a file, never HTML that a browser gets from us.
    environment = Environment(autoescape=False, undefined=StrictUndefined)
    environment.filters |= {"md": _marked, "code": code_span}
    text = environment.from_string(TEMPLATE).render(
        recipe=recipe,
        manifest=manifest,
        task=functions_of(recipe.task),
        embeds=isinstance(recipe.task, SentenceEmbedding),
        pooled=origin.pooling,
        implementation=split_import_path(own) if own is not None else None,
        labels=manifest.label_names,
        metrics=origin.metrics if splits else {},
        split=splits[0] if splits else None,
        rows=manifest.splits[splits[0]].rows if splits else 0,
        base_model=path if from_hub else None,
        base_name=shown_model(path),
        yaml=_fenced(write_yaml(without_places(recipe.model_dump(mode="json"))).strip()),
    )
    return masked(text)


def _fenced(yaml: str) -> str:
    """Return YAML that does not end the block of code it stands in."""
    return visible(yaml).replace("```", "` ` `")


def _marked(text: str) -> str:
    """Return Markdown for a name: its underscores stay readable, they mark nothing inside words."""
    shown = html.escape(one_line(text), quote=False)
    return re.sub(r"([\\`*\[\]|])", r"\\\1", shown)
