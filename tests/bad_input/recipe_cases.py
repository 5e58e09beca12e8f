"""Recipes that cannot be, with the exit code and what must be said of each."""

GOOD = {
    "name": "name: good",
    "model": "model: {path: org/model}",
    "task": "task: {kind: text_classification}",
    "data": "data: {train: train.csv, validation: 10%}",
}


def changed(line: str) -> str:
    """Give the good recipe with one section replaced or added."""
    return "\n".join((GOOD | {line.split(":")[0]: line}).values()) + "\n"


def without(key: str) -> str:
    """Give the good recipe without one section."""
    return "\n".join(line for name, line in GOOD.items() if name != key) + "\n"


LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n"
    for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)
TOKEN = "hf_" + "Ab1" * 11

LINES = [
    ("epochs: two", "found 'two', must be a whole number"),
    ("epochs: 0", "must be at least 1"),
    ("epochs: 1.5", "must be a whole number"),
    ("epochs: true", "must be a number"),
    ("epochs:", "found nothing"),
    ("epochs: [1]", "found [1]"),
    ("epochs: .inf", "must be a whole number"),
    ("epochs: 99999999999999999999", "at most 1,000,000"),
    ("epoch: 3", "Did you mean epochs?"),
    ("modle: {path: x}", "Did you mean model?"),
    ("num_train_epochs: 3", "Did you mean epochs?"),
    ("learning_rate: 1", "Did you mean optimizer.learning_rate?"),
    ("name: ../evil", "is not a run name"),
    ("name: Has Spaces", "is not a run name"),
    ("name: ''", "is not a run name"),
    ("name: a..b", "is not a run name"),
    ("name: 5", "must be text"),
    ("name: $(touch x)", "is not a run name"),
    ("name: " + "a" * 64, "is not a run name"),
    ("model: org/model", "must be a mapping"),
    ("model: {}", "model.path is missing"),
    ("model: {path: ''}", "text that is not empty"),
    ("model: {path: x, trust_remote_code: true}", "40-digit commit"),
    ("model: {path: x, trust_remote_code: true, revision: main}", "40-digit commit"),
    ("model: {path: x, dropout: 1.5}", "model.dropout"),
    ("model: {path: x, dtype: float8}", "Did you mean"),
    ("task: {kind: text_clasification}", "Did you mean text_classification?"),
    ("task: {}", "task.kind is missing"),
    ("task: text_classification", "must be a mapping"),
    ("task: {kind: text_classification, text: label}", "label"),
    ("task: {kind: text_classification, labels: [a, a]}", "a"),
    ("task: {kind: text_classification, labels: [a]}", "label"),
    ("task: {kind: text_classification, lables: [a, b]}", "Did you mean task.labels?"),
    ("data: {}", "data.train is missing"),
    ("data: {train: a.csv, validation: 120%}", "data.validation"),
    ("data: {train: a.csv, validation: 60%, test: 40%}", "Leave some for training"),
    ("data: {train: a.csv, format: excel}", "found 'excel'"),
    ("data: {train: 5}", "data.train"),
    ("data: {train: []}", "data.train"),
    ("data: {train: [5]}", "data.train"),
    ("data: {train: ''}", "data.train"),
    ("data: {train: {path: x.csv, weight: 0}}", "must be greater than 0"),
    ("data: {train: {path: x.csv, encoding: klingon}}", "is not an encoding"),
    ("data: {train: {path: 'sqlite:///x.db'}}", "needs query"),
    ("data: {train: {path: x.csv, query: SELECT 1}}", "query is for databases"),
    ("data: {train: {path: 'mysql://me:pw123456@h/x', query: SELECT 1}}", "cluster.secrets"),
    ("data: {train: a.csv, split: {by: group}}", "column"),
    ("data: {train: a.csv, cleaning: {missing: fill}}", "belong together"),
    ("batch: {lanes: 3}\ncluster: {num_workers: 2}", "not a multiple of cluster.num_workers"),
    ("batch: {lanes: 0}", "must be at least 1"),
    ("batch: {microbatch_size: 4, microbatch_tokens: 900}", "Keep one"),
    ("batch: {microbatch_tokens: 10}", "is less than max_length"),
    ("batch: {packing: true}", "batch.packing is for language models"),
    ("optimizer: {name: adamax}", "allowed is"),
    ("optimizer: {betas: [0.9]}", "optimizer.betas"),
    ("optimizer: {learning_rate: -1}", "greater than 0"),
    ("optimizer: {learning_rate: fast}", "must be a number"),
    ("optimizer: {learning_rate: .nan}", "must be a number"),
    ("schedule: {warmup_steps: 5, warmup_ratio: 0.1}", "Keep one"),
    ("schedule: {name: slanted_triangular, warmup_steps: 5}", "Use cut_fraction"),
    ("zero: {stage: 4}", "zero.stage"),
    ("zero: {stage: 2, offload_parameters: cpu}", "needs stage 3"),
    ("zero: {overrides: {optimizer: {}}}", "may not set optimizer"),
    ("precision: fp16", "precision fp16 needs GPUs"),
    ("precision: bf61", "Did you mean bf16?"),
    ("freezing: some", "freezing"),
    ("freezing: {train: ['(']}", "freezing"),
    ("freezing: {lsat: 2}", "Did you mean freezing.last?"),
    ("cluster: {env: {HF_TOKEN: x}}", "name it in cluster.secrets"),
    (f"cluster: {{env: {{X: {TOKEN}}}}}", "looks like a secret"),
    (f"cluster: {{secrets: [{TOKEN}]}}", "names such as HF_TOKEN"),
    ("cluster: {secrets: [A, A]}", "named twice"),
    ("cluster: {env: {A: 1}}", "Put quotes around it"),
    ("cluster: {num_workers: -1}", "found -1. Give worker processes"),
    ("cluster: {placement: ANYWHERE}", "allowed is"),
    ("early_stopping: {patience: 0}", "at least 1"),
    ("seed: -1", "at least 0"),
    ("seed: 4294967296", "less than 4,294,967,296"),
    ("tracking: {tensorboard: perhaps}", "must be true or false"),
    ("checkpoint: {keep_last: 0}", "at least 1"),
    (f"storage: s3://{'AKIA' + 'A1B2C3D4E5F6G7H8'}:x@bucket", "holds what looks like a secret"),
]

TEXTS = [
    ("", "found nothing"),
    ("- a\n- b\n", "is a mapping of keys to values"),
    ("just words", "is a mapping of keys to values"),
    ("name: [", "line"),
    ("name: a\nname: b\n", "already given on line 1"),
    ("name: a\n\tmodel: b\n", "line 2"),
    ("name: 'open\n", "line"),
    ("name: !!python/object/apply:os.system [id]\n", "line 1"),
    ("name: *nowhere\n", "line 1"),
    (LAUGHS, "Write the values out"),
    ("x: " + "[" * 60 + "]" * 60, "nested"),
    ("name: a\0b\n", "recipe.yaml"),
    ("? [a, b]\n: c\n", "recipe.yaml"),
    ("5: 6\n", "recipe.yaml"),
    ("name: 0o9\nseed: 0x\n", "recipe.yaml"),
    ("--- a\n--- b\n", "recipe.yaml"),
    *((without(key), f"{key} is missing") for key in GOOD),
]

RECIPES = [*((changed(line), words) for line, words in LINES), *TEXTS]
