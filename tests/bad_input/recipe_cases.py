"""Recipes that cannot be, with the exit code and what must be said of each."""

GOOD = {
    "name": "name: good",
    "model": "model: {path: org/model}",
    "task": "task: {kind: text_classification}",
    "data": "data: {train: train.csv, validation: 10%}",
}


def changed(line: str) -> str:
    """Return the good recipe with sections replaced or added, one a line."""
    sections = {one.split(":")[0]: one for one in line.split("\n")}
    return "\n".join((GOOD | sections).values()) + "\n"


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
    ("model: {path: x, pooling: max}", "allowed is own or mean or cls or folder"),
    ("model: {path: x, pooling: mean}\ntask: {kind: image_classification}", "one answer a text"),
    ("model: {path: x, pooling: cls, implementation: a:B}", "one of its own. Keep one"),
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
    ("data: {train: a.csv, cleaning: {missing: fill}}", "Set missing to fill, and one of"),
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
    ("zero: {overrides: {fp61: {}}}", "Did you mean fp16?"),
    ("zero: {overrides: {overlap_comm: true}}", "in zero_optimization. Put it there"),
    ("zero: {overrides: {zero_optimization: {nope: 1}}}", "Leave it out"),
    ("zero: {stage: true}", "must be a number"),
    ("zero: 2", "Write it as {stage: 2}"),
    ("model: minilm", "Write it as {path: minilm}"),
    ("model: {path: s3://bucket/model}", "Copy the model to a folder"),
    ("model: {path: ~nobody-at-all/x}", "nobody's home"),
    ("training: {epochs: 3}", "Write what is in it as epochs"),
    ("early_stopping: {metric: nope}", "Use one of loss, accuracy"),
    ("early_stopping: {metric: macro-f1}", "Did you mean macro_f1?"),
    ("evaluation: {best_metric: rmse}", "is no metric of text_classification"),
    (
        "freezing: {schedule: [{learn: head, until_stall: {metric: f2, max_epochs: 1}},"
        " {learn: all}]}",
        "freezing.schedule.0.until_stall.metric: f2 is no metric",
    ),
    ("storage: s3://", "names no bucket"),
    ("storage: gs:///runs", "names no bucket"),
    ("storage: s3:/runs", "neither a path nor an address"),
    ("storage: file://runs", "with three slashes"),
    ("storage: s3://a b/x", "no bucket's name"),
    ("storage: ftp://host/x", "is no storage that can be written"),
    ("storage: ''", "is empty"),
    ("storage: $HOME/runs", "is not replaced by its value here"),
    ('storage: "a\\0b"', "Take it out"),
    ("storage: " + "x" * 6000, "Shorten it"),
    ("storage: " + "x" * 300, "file systems take 255"),
    ("storage: /", "is the root"),
    ("storage: /proc", "is a place of the system"),
    ("storage: recipe.yaml", "is no folder"),
    ("storage: ~nobody-at-all", "nobody's home"),
    ("data: {train: /dev/zero}", "is a place of the system"),
    ("data: {train: s3://}", "names no bucket"),
    ("data: {train: [a.csv, s3:/x.csv]}", "neither a path nor an address"),
    ("seed: " + "9" * 5000, "Write a number of at most 300 digits"),
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
    ("".join(f"k{number}: 1\n" for number in range(2000)), "more than 1,000 keys"),
    ("".join(f"k{number}: 1\n" for number in range(100)), "There are 84 more problems"),
    *((without(key), f"{key} is missing") for key in GOOD),
]

HABITS = [
    (
        "per_device_train_batch_size: 8",
        "per_device_train_batch_size is not a key of a recipe. Did you",
    ),
    (
        "gradient_accumulation_steps: 4",
        "gradient_accumulation_steps is not a key of a recipe. Did you",
    ),
    ("num_epochs: 3", "num_epochs is not a key of a recipe. Did you mean epochs?"),
    ("lr: 2e-5", "lr is not a key of a recipe. Did you mean"),
    ("weight_decay: 0.01", "weight_decay is not a key of a recipe. Did you mean"),
    ("warmup_ratio: 0.1", "warmup_ratio is not a key of a recipe. Did you mean"),
    ("lr_scheduler_type: cosine", "lr_scheduler_type is not a key of a recipe. Did you mean"),
    ("output_dir: out", "output_dir is not a key of a recipe. Did you mean storage?"),
    ("logging_steps: 10", "logging_steps is not a key of a recipe. Did you mean"),
    ("save_steps: 500", "save_steps is not a key of a recipe. Did you mean"),
    ("eval_steps: 500", "eval_steps is not a key of a recipe. Did you mean"),
    ("fp16: true", "fp16 is not a key of a recipe. Did you mean precision?"),
    ("bf16: true", "bf16 is not a key of a recipe. Did you mean precision?"),
    ("report_to: wandb", "report_to is not a key of a recipe. Did you mean"),
    (
        "load_best_model_at_end: true",
        "load_best_model_at_end is not a key of a recipe. Did you mean",
    ),
    ("metric_for_best_model: f1", "metric_for_best_model is not a key of a recipe. Did you mean"),
    ("max_seq_length: 512", "max_seq_length is not a key of a recipe. Did you mean"),
    ("dataset: my.csv", "dataset is not a key of a recipe. Did you mean data?"),
    ("base_model: org/model", "base_model is not a key of a recipe. Did you mean model?"),
    ("lora_r: 8", "lora_r is not a key of a recipe. Did you mean"),
    ("lora_alpha: 16", "lora_alpha is not a key of a recipe. Did you mean"),
    ("deepspeed: ds.json", "deepspeed is not a key of a recipe. Did you mean zero?"),
    (
        "gradient_checkpointing: true",
        "gradient_checkpointing is not a key of a recipe. Did you mean",
    ),
    ("optim: adamw_torch", "optim is not a key of a recipe. Did you mean optimizer?"),
    ("push_to_hub: true", "push_to_hub is not a key of a recipe. Allowed here: name,"),
    ("train_file: a.csv", "train_file is not a key of a recipe. Did you mean data.train?"),
    (
        "hyperparameters: {epochs: 3}",
        "hyperparameters is not a key of a recipe. Write what is in it",
    ),
    (
        "training_arguments: {num_train_epochs: 3}",
        "training_arguments is not a key of a recipe. Write what is in",
    ),
    ("trainer: {max_epochs: 3}", "trainer is not a key of a recipe. Write what is in it as epochs"),
    ("adapter: lora", "adapter is not a key of a recipe. Did you mean freezing.lora?"),
    ("val_set_size: 0.1", "val_set_size is not a key of a recipe. Did you mean"),
    ("micro_batch_size: 2", "micro_batch_size is not a key of a recipe. Did you mean"),
    ("sequence_len: 512", "sequence_len is not a key of a recipe. Did you mean"),
    ("datasets: [{path: a.csv}]", "datasets is not a key of a recipe. Did you mean data?"),
    ("optimizer: adamw", "optimizer: found 'adamw', must be a mapping of keys to values"),
    ("optimizer: {name: AdamW}", "optimizer.name: found 'AdamW', allowed is adamw or adam or sgd"),
    ("optimizer: {lr: 0.1}", "optimizer.lr is not a key of a recipe. Did you mean"),
    (
        "optimizer: {learning_rate: 2e-5e}",
        "optimizer.learning_rate: found '2e-5e', must be a number",
    ),
    (
        "optimizer: {betas: [0.9, 1.0]}",
        "optimizer.betas: found [0.9, 1.0], each must be at least 0 and",
    ),
    ("optimizer: {weight_decay: -0.1}", "optimizer.weight_decay: found -0.1, must be at least 0"),
    ("optimizer: {betas: 0.9}", "optimizer.betas: found 0.9, must be a list"),
    ("schedule: cosine", "schedule: found 'cosine', must be a mapping of keys to values"),
    ("schedule: {name: cosin}", "schedule.name: found 'cosin', allowed is constant or linear or"),
    ("schedule: {warmup_ratio: 10}", "schedule.warmup_ratio: found 10, must be less than 1"),
    ("schedule: {warmup_steps: -5}", "schedule.warmup_steps: found -5, must be at least 0"),
    ("schedule: {warmup_steps: 1.5}", "schedule.warmup_steps: found 1.5, must be a whole number"),
    ("batch: 32", "batch: found 32, must be a mapping of keys to values. Write it"),
    ("batch: {size: 32}", "batch.size is not a key of a recipe. Allowed here: lanes,"),
    ("batch: {lanes: -8}", "batch.lanes: found -8, must be at least 1"),
    ("batch: {max_length: 0}", "batch.max_length: found 0, must be at least 1"),
    ("batch: {lanes: yes}", "batch.lanes: found 'yes', must be a whole number"),
    ("batch: {microbatch_size: 0}", "batch.microbatch_size: found 0, must be at least 1"),
    (
        "batch: {lanes: 5}\ncluster: {num_workers: 4}",
        "batch.lanes (5) is not a multiple of cluster.num_workers (4)",
    ),
    ("model: {name: org/model}", "model.path is missing. Give it: Hugging Face hub id, or a"),
    ("model: {path: [a, b]}", "model.path: found ['a', 'b'], must be text"),
    ("model: {path: 5}", "model.path: found 5, must be text. Put quotes around it"),
    (
        "model: {path: 'https://huggingface.co/org/model'}",
        "model.path: https://huggingface.co/org/model is neither a",
    ),
    (
        "model: {path: x, dtype: fp16}",
        "model.dtype: found 'fp16', allowed is float32 or bfloat16 or",
    ),
    (
        "model: {path: x, torch_dtype: bfloat16}",
        "model.torch_dtype is not a key of a recipe. Did you mean",
    ),
    ("model: {path: x, dropout: -0.1}", "model.dropout: found -0.1, must be at least 0"),
    (
        "model: {path: x, implementation: Model}",
        "model.implementation: 'Model' names no code. Write module:name,",
    ),
    ("task: {type: text_classification}", "task.kind is missing. Give it (text_classification or"),
    ("task: {kind: classification}", "task.kind: found 'classification', allowed is"),
    ("task: {kind: causal_lm}", "task.kind: found 'causal_lm', allowed is text_classification or"),
    ("task: {kind: ner}", "task.kind: found 'ner', allowed is text_classification or"),
    ("task: {kind: }", "task.kind: found nothing, allowed is text_classification or"),
    (
        "task: {kind: text_classification, num_labels: 2}",
        "task.num_labels is not a key of a recipe. Did you mean",
    ),
    ("task: {kind: text_classification, labels: a}", "task.labels: found 'a', must be a list"),
    (
        "task: {kind: text_classification, labels: {a: 0, b: 1}}",
        "task.labels: found a mapping, must be a list",
    ),
    (
        "task: {kind: text_classification, labels: [1, 2]}",
        "task.labels.0: found 1, must be text. Put quotes around it",
    ),
    (
        "task: {kind: text_classification, label: [a, b]}",
        "task.label: found ['a', 'b'], must be text",
    ),
    (
        "task: {kind: text_classification, text: 5}",
        "task.text: found 5, must be text. Put quotes around it",
    ),
    (
        "task: {kind: text_regression, labels: [a, b]}",
        "task.labels is not a key of a recipe. Allowed here: kind, text,",
    ),
    (
        "task: {kind: instruction_tuning, messages: m, prompt: p}",
        "task: messages and prompt are both given. Keep one",
    ),
    (
        "task: {kind: sentence_embedding, negative: n, score: s}",
        "task: negative and score are both given. Keep one",
    ),
    (
        "task: {kind: instruction_tuning, loss_on: all, generation: {evaluation_rows: 5}}",
        "task: generation.evaluation_rows writes answers anew, and with",
    ),
    (
        "task: {kind: text_classification, metrics: [acuracy]}",
        "task.metrics is not a key of a recipe. Did you mean task.metric?",
    ),
    (
        "task: {kind: image_classification, image_size: 0}",
        "task.image_size: found 0, must be at least 1",
    ),
    ("data: train.csv", "data: found 'train.csv', must be a mapping of keys to values"),
    ("data: [a.csv]", "data: found ['a.csv'], must be a mapping of keys to values"),
    ("data: {trian: a.csv}", "data.trian is not a key of a recipe. Did you mean data.train?"),
    ("data: {train: a.csv, valid: b.csv}", "data.valid is not a key of a recipe. Did you mean"),
    (
        "data: {train: a.csv, validation: 0}",
        "data.validation: found 0. Give files, or a share of the",
    ),
    (
        "data: {train: a.csv, validation: 1.5}",
        "data.validation: found 1.5. Give files, or a share of the",
    ),
    (
        "data: {train: a.csv, validation: -10%}",
        "data.validation: found -0.1. Give files, or a share of the",
    ),
    (
        "data: {train: a.csv, validation: 100%}",
        "data.validation: found 1.0. Give files, or a share of the",
    ),
    ("data: {train: null}", "data.train: found nothing. Give file, glob or list of them with"),
    ("data: {train: {file: a.csv}}", "data.train.file is not a key of a recipe. Did you mean"),
    (
        "data: {train: {path: a.csv, weight: -1}}",
        "data.train.weight: found -1, must be greater than 0",
    ),
    (
        "data: {train: {path: a.csv, weight: heavy}}",
        "data.train.weight: found 'heavy', must be a number",
    ),
    (
        "data: {train: {path: [a.csv, b.csv], pair: c.txt}}",
        "data.train: query and pair go with one path. Give one",
    ),
    (
        "data: {train: {path: a.csv, pair: b.csv, format: csv}}",
        "data.train: pair goes with format text, found csv. Leave one",
    ),
    (
        "data: {train: {path: a.txt, format: text}}",
        "data.train: format text needs pair. Give the file with the",
    ),
    (
        "data: {train: [{path: a.csv, name: x}, {path: b.csv, name: x}]}",
        "data: two sources of one split are called x. Give each a name",
    ),
    (
        "data: {train: a.csv, format: CSV}",
        "data.format: found 'CSV', allowed is auto or csv or tsv or json",
    ),
    (
        "data: {train: a.csv, split: {by: random}}",
        "data.split.by: found 'random', allowed is hash or stratified or",
    ),
    (
        "data: {train: a.csv, split: {by: stratified}}",
        "data: split.by is stratified, but no share is taken. Set",
    ),
    (
        "data: {train: a.csv, validation: 10%, split: {time_format: '%Y'}}",
        "data.split: time_format is read with by: time alone. Leave it out",
    ),
    (
        "data: {train: a.csv, cleaning: {max_characters: 5, min_characters: 9}}",
        "data.cleaning: max_characters (5) is less than min_characters",
    ),
    (
        "data: {train: a.csv, cleaning: {missing: ignore}}",
        "data.cleaning.missing: found 'ignore', allowed is drop or fill",
    ),
    (
        "data: {train: a.csv, cleaning: true}",
        "data.cleaning: found true, must be a mapping of keys to values",
    ),
    (
        "data: {train: a.csv, cleaning: {duplicates: maybe}}",
        "data.cleaning.duplicates is not a key of a recipe. Did you mean",
    ),
    (
        "data: {train: 'https://example.org/a.csv'}",
        "data.train: https://example.org/a.csv: https:// is no storage",
    ),
    (
        "data: {train: 'htp://x/a.csv'}",
        "data.train: htp://x/a.csv: htp:// is no storage that can be",
    ),
    ("freezing: heads", "freezing: found 'heads', allowed is head or full. Did you mean"),
    ("freezing: {mode: partial}", "freezing: mode partial names nothing that learns. Give last,"),
    ("freezing: {last: 0}", "freezing.last: found 0, must be at least 1"),
    ("freezing: {last: -1}", "freezing.last: found -1, must be at least 1"),
    (
        "freezing: {mode: full, last: 2}",
        "freezing: last and train need mode partial, found full. Leave",
    ),
    (
        "freezing: {mode: head, embeddings: true}",
        "freezing: mode head trains only what is new. Use mode partial",
    ),
    ("freezing: {preset: lp-ft}", "freezing.preset: found 'lp-ft', allowed is ulmfit or lp_ft or"),
    (
        "freezing: {preset: lp_ft, mode: head}",
        "freezing: preset says what learns. Leave mode, last and train",
    ),
    (
        "epochs: 1\nfreezing: {preset: lp_ft}",
        "freezing.preset lp_ft has two phases but epochs is 1. Use 2 or",
    ),
    (
        "epochs: 2\nfreezing: {schedule: [{learn: head, epochs: 1}, {learn: all, epochs: 5}]}",
        "the phases of freezing.schedule take 6 epochs but epochs is 2",
    ),
    (
        "freezing: {schedule: [{learn: head}, {learn: all}]}",
        "freezing.schedule: phase 1 of 2 has no length, and only the",
    ),
    (
        "freezing: {schedule: [{learn: tail, epochs: 1}]}",
        "freezing.schedule.0.learn: found 'tail', allowed is head, all,",
    ),
    (
        "epochs: 3\nfreezing: {schedule: [{learn: head, epochs: 1, steps: 5}, {learn: all}]}",
        "freezing.schedule.0: epochs, steps and until_stall exclude each",
    ),
    (
        "epochs: 3\nfreezing: {schedule: [{learn: all, epochs: 1}, {learn: head}]}",
        "freezing.schedule: phase 2 unfreezes nothing that phase 1 did",
    ),
    ("freezing: [head]", "freezing: found ['head'], must be a mapping of keys to values"),
    ("freezing: 5", "freezing: found 5, must be a mapping of keys to values"),
    ("adapters: {modules: []}", "adapters is not a key of a recipe. Allowed here: name, storage,"),
    ("adapters: {rank: 0}", "adapters is not a key of a recipe. Write what is in it as"),
    ("adapters: {bits: 4}", "adapters is not a key of a recipe. Write what is in it as"),
    ("adapters: {bits: 3}", "adapters is not a key of a recipe. Write what is in it as"),
    (
        "adapters: true\nzero: {stage: 3}",
        "adapters is not a key of a recipe. Allowed here: name, storage,",
    ),
    ("balance: classes", "balance: found 'classes', allowed is none or oversample or"),
    ("balance: {target: even}", "balance.target: found 'even', allowed is equal or"),
    ("balance: {target: {a: -1}}", "balance.target.a: found -1, must be greater than 0"),
    ("balance: {target: 5}", "balance.target: found 5, allowed is equal or effective_number"),
    ("loss: {function: loss}", "loss.function: 'loss' names no code. Write module:name, such as"),
    (
        "loss: {function: 'my:loss', label_smoothing: 0.1}",
        "loss: function and label_smoothing are both given. Keep one",
    ),
    ("loss: {label_smoothing: 2}", "loss.label_smoothing: found 2, must be less than 1"),
    (
        "augmentation: {images: {crop: true}}",
        "augmentation.images.crop: found true, must be less than 1",
    ),
    ("augmentation: {delete: 2}", "augmentation.delete: found 2, must be at most 1"),
    ("augmentation: {rotate: 5}", "augmentation.rotate is not a key of a recipe. Did you mean"),
    ("early_stopping: true", "early_stopping: found true, must be a mapping of keys to values"),
    ("early_stopping: {patience: -2}", "early_stopping.patience: found -2, must be at least 1"),
    (
        "early_stopping: {metric: f1}",
        "early_stopping.metric: f1 is no metric of text_classification",
    ),
    ("best_metric: f2", "best_metric is not a key of a recipe. Did you mean"),
    ("best_metric: 5", "best_metric is not a key of a recipe. Did you mean"),
    ("zero: 3", "zero: found 3, must be a mapping of keys to values. Write it as"),
    ("zero: {stage: '2'}", "zero.stage: found '2', allowed is 0 or 1 or 2 or 3. Did you"),
    (
        "zero: {offload_optimizer: disk}",
        "zero.offload_optimizer: found 'disk', allowed is none or cpu or",
    ),
    (
        "zero: {offload_optimizer: cpu, stage: 0}",
        "zero: offload_optimizer needs stage 1, 2 or 3, found 0. Set one",
    ),
    (
        "zero: {stage: 3, offload_parameters: nvme}",
        "zero: offload to nvme needs nvme_path. Give a folder such as /nvme",
    ),
    (
        "zero: {overrides: {zero_optimisation: {}}}",
        "zero: overrides: DeepSpeed has no zero_optimisation. Did you",
    ),
    ("zero: {overrides: [1]}", "zero.overrides: found [1], must be a mapping of keys to values"),
    (
        "zero: {overrides: {zero_optimization: {stage: 3}}}",
        "zero: overrides may not set zero_optimization.stage: the",
    ),
    (
        "zero: {overrides: {train_batch_size: 8}}",
        "zero: overrides may not set train_batch_size: the recipe's own",
    ),
    ("precision: 16", "precision: found 16, allowed is fp32 or bf16 or fp16. Did you"),
    ("precision: half", "precision: found 'half', allowed is fp32 or bf16 or fp16"),
    ("precision: int8", "precision: found 'int8', allowed is fp32 or bf16 or fp16"),
    ("activation_checkpointing: 3", "activation_checkpointing: found 3, must be true or false"),
    ("cluster: {workers: 2}", "cluster.workers is not a key of a recipe. Did you mean"),
    ("cluster: {num_workers: two}", "cluster.num_workers: found 'two'. Give worker processes, or"),
    (
        "cluster: {num_workers: [4, 2]}",
        "cluster: num_workers [4, 2] is no range. Give the fewest first",
    ),
    (
        "cluster: {num_workers: [1, 2, 3]}",
        "cluster.num_workers: found [1, 2, 3]. Give worker processes, or",
    ),
    ("cluster: {num_workers: 2.5}", "cluster.num_workers: found 2.5. Give worker processes, or"),
    ("cluster: {gpus_per_worker: -1}", "cluster.gpus_per_worker: found -1, must be at least 0"),
    ("cluster: {cpus_per_worker: 0}", "cluster.cpus_per_worker: found 0, must be greater than 0"),
    ("cluster: {env: [A=1]}", "cluster.env: found ['A=1'], must be a mapping of keys to values"),
    (
        "cluster: {env: {'A B': x}}",
        "cluster.env: 'A B' is not the name of a variable. Use letters,",
    ),
    (
        "cluster: {secrets: HF_TOKEN}",
        "cluster.secrets: must be a list of names such as [HF_TOKEN],",
    ),
    (
        "cluster: {secrets: [HF TOKEN]}",
        "cluster.secrets: entry 1 is not the name of a variable. Give",
    ),
    (
        "cluster: {secrets: [PATH]}",
        "cluster.secrets: PATH is set by Ray or by Thaw itself. Leave it",
    ),
    (
        "cluster: {secrets: [RAY_ADDRESS]}",
        "cluster.secrets: RAY_ADDRESS is set by Ray or by Thaw itself",
    ),
    (
        "cluster: {secrets: [A], env: {A: x}}",
        "cluster: A is in env and in secrets. Keep it in secrets alone",
    ),
    ("cluster: {address: [a]}", "cluster.address: found ['a'], must be text"),
    ("cluster: 2", "cluster: found 2, must be a mapping of keys to values"),
    ("cluster: {placement: pack}", "cluster.placement: found 'pack', allowed is PACK or SPREAD or"),
    ("storage: s3:/bucket/x", "storage: s3:/bucket/x is neither a path nor an address. Write"),
    ("storage: gs://", "storage: gs:// names no bucket. Write gs://bucket/folder"),
    ("storage: file://x", "storage: file://x names no whole path. Write file:///folder,"),
    (
        "storage: '${SCRATCH}/runs'",
        "storage: ${SCRATCH}/runs holds ${, which is not replaced by its",
    ),
    ("storage: /proc/x", "storage: /proc/x is a place of the system that holds no files"),
    ("storage: 5", "storage: found 5, must be text. Put quotes around it"),
    ("storage: [a]", "storage: found ['a'], must be text"),
    ("storage: {path: x}", "storage: found a mapping, must be text"),
    ("storage: 'S3://bucket/x'", "storage: S3://bucket/x: S3:// is no storage that can be"),
    ("storage: ~nobody-such/runs", "~nobody-such/runs: ~nobody-such is nobody's home on this"),
    (
        "storage: s3://Bad_Bucket!/x",
        "storage: s3://Bad_Bucket!/x: 'Bad_Bucket!' is no bucket's name",
    ),
    ("checkpoint: 5", "checkpoint: found 5, must be a mapping of keys to values. Write"),
    ("checkpoint: {every: 5}", "checkpoint.every is not a key of a recipe. Did you mean"),
    ("checkpoint: {every_steps: -1}", "checkpoint.every_steps: found -1, must be at least 1"),
    ("checkpoint: {keep_last: none}", "checkpoint.keep_last: found 'none', must be a whole number"),
    ("tracking: wandb", "tracking: found 'wandb', must be a mapping of keys to values"),
    ("tracking: {wandb: {project: 5}}", "tracking.wandb is not a key of a recipe. Allowed here"),
    ("tracking: {mlflow: http://x}", "tracking.mlflow is not a key of a recipe. Allowed here"),
    ("tracking: {tensorbord: true}", "tracking.tensorbord is not a key of a recipe. Did you mean"),
    ("faults: {watchdog_s: -1}", "faults.watchdog_s: found -1, must be greater than 0"),
    ("faults: {max_failures: lots}", "faults.max_failures is not a key of a recipe. Did you mean"),
    ("seed: 1.5", "seed: found 1.5, must be a whole number"),
    ("seed: random", "seed: found 'random', must be a whole number"),
    ("seed: [1]", "seed: found [1], must be a whole number"),
    ("metrics: accuracy", "metrics is not a key of a recipe. Did you mean"),
    ("tags: 5", "tags is not a key of a recipe. Did you mean task.tags?"),
    ("notes: [a]", "notes is not a key of a recipe. Allowed here: name, storage,"),
    ("version: 2", "version is not a key of a recipe. Did you mean precision?"),
]
"""What is brought from other trainers, or written by guess."""


AGREEMENTS = [
    (
        "freezing: {lora: {targets: []}}",
        "freezing.lora.targets: found no name of a module. Use auto, or names such as",
    ),
    (
        "freezing: {lora: {targets: ['']}}",
        "freezing.lora.targets: found no name of a module. Use auto, or names such as",
    ),
    (
        "freezing: {lora: {targets: ''}}",
        "freezing.lora.targets: found no name of a module. Use auto, or names such as",
    ),
    (
        "freezing: {lora: {bits: 4}}\nprecision: fp32\nzero: {stage: 3}",
        "freezing.lora.bits 4 needs CUDA GPUs. Leave bits out, or set gpus_per_worker.",
    ),
    ("freezing: {lora: {bits: 8}}", "freezing.lora.bits: found 8, allowed is 4."),
    ("freezing: {lora: {bits: true}}", "freezing.lora.bits: found true, allowed is 4."),
    ("freezing: {lora: {rank: 0}}", "freezing.lora.rank: found 0, must be at least 1."),
    (
        "task: {kind: image_classification}\naugmentation: {delete: 0.1}",
        "augmentation.delete changes texts, but image_classification has images. Use",
    ),
    (
        "task: {kind: instruction_tuning}\naugmentation: {delete: 0.1}",
        "augmentation changes texts in ways that instruction_tuning cannot take. Leave it",
    ),
    (
        "augmentation: {images: {flip: 0.5}}",
        "augmentation.images changes images, but text_classification has none. Leave it out.",
    ),
    (
        "freezing: {schedule: [{learn: all, until_stall: {max_epochs: 1}}]}",
        "freezing.schedule: the last phase ends with the run, not with until_stall. Use",
    ),
    (
        "freezing: {schedule: [{learn: head, until_stall: {max_epochs: 1}}, {learn: all, "
        "epochs: 3}]}",
        "freezing.schedule: a phase with until_stall may end early and leave epochs over.",
    ),
    (
        "freezing: {preset: ulmfit, gradual: false}",
        "freezing: preset ulmfit is gradual. Leave gradual out, or the preset.",
    ),
    (
        "freezing: {preset: ulmfit, schedule: [{learn: all}]}",
        "freezing: schedule and gradual both say what learns. Keep one.",
    ),
    (
        "freezing: {gradual: true, preset: lp_ft}",
        "freezing: gradual and preset both say what learns. Keep one.",
    ),
    (
        "freezing: {preset: bitfit, embeddings: true}",
        "freezing: preset says what learns. Leave embeddings out.",
    ),
    (
        "freezing: {lora: {}, embeddings: true}",
        "freezing: lora says what learns. Leave embeddings out.",
    ),
    (
        "freezing: {schedule: [{learn: head, epochs: 1}, {learn: all, epochs: 1}]}",
        "the phases of freezing.schedule take 2 epochs but epochs is 3. Leave the length of",
    ),
    (
        "freezing: {schedule: [{learn: head, epochs: 3}, {learn: all}]}",
        "the phases of freezing.schedule take 3 epochs and leave none to the last but epochs",
    ),
    (
        "freezing: {gradual: true, last: 2}",
        "freezing: gradual says what learns. Leave mode, last and train out.",
    ),
    (
        "freezing: {preset: lp_ft}\nepochs: 1",
        "freezing.preset lp_ft has two phases but epochs is 1. Use 2 or more.",
    ),
    (
        "task: {kind: sequence_to_sequence, generation: {evaluation_rows: 0}}\n"
        "evaluation: {best_metric: bleu}",
        "evaluation.best_metric: bleu judges texts that are written in evaluation, but",
    ),
    (
        "task: {kind: instruction_tuning, generation: {evaluation_rows: 0}, metric: "
        "own:score}\ncluster: {working_dir: .}",
        "task.metric judges the texts that are written in evaluation, but",
    ),
    (
        "task: {kind: sequence_to_sequence}\nfreezing: {prefix_cache: 'on'}",
        "freezing.prefix_cache is on but evaluation writes text, which needs the whole",
    ),
    (
        "task: {kind: language_modeling}\nbatch: {packing: true}\nfreezing: {prefix_cache: 'on'}",
        "freezing.prefix_cache is on but batch.packing joins rows that are recorded one by",
    ),
    (
        "task: {kind: sentence_embedding}\nfreezing: {prefix_cache: 'on'}",
        "freezing.prefix_cache is on but a row of sentence_embedding is several texts,",
    ),
    (
        "task: {kind: sentence_embedding}\nfaults: {feed_parts: 2}",
        "faults.feed_parts is 2 but sentence_embedding compares all texts of a microbatch",
    ),
    (
        "augmentation: {delete: 0.1}\nfreezing: {prefix_cache: 'on'}",
        "freezing.prefix_cache is on but augmentation changes rows anew in each epoch. Use",
    ),
    (
        "loss: {function: own:focal}\nbalance: {method: focal}\ncluster: {working_dir: .}",
        "loss.function takes the place of the loss that balance.method (focal) would change.",
    ),
    ("seed: 1e999", "seed: found inf, must be a finite number."),
    ("seed: 0x", "seed: found '0x', must be a whole number."),
    ("epochs: 1e400", "epochs: found inf, must be a finite number."),
    (
        "model: {path: x, attention: flash_attention_2}",
        "model.attention flash_attention_2 needs half precision, found fp32. Use precision",
    ),
    (
        "task: {kind: text_classification, metric: [own:f1, other:f1]}\ncluster: {working_dir: .}",
        "task.metric names two functions f1, and both would give a metric of that name.",
    ),
    (
        "data: {train: a.csv}\ntask: {kind: text_classification, metric: own:f1}\n"
        "cluster: {working_dir: .}",
        "task.metric needs rows to judge. Give data.validation or data.test, such as 10%.",
    ),
    (
        "data: {train: a.csv}\nearly_stopping: {}",
        "early_stopping needs data.validation. Give it, such as 10%.",
    ),
    (
        "data: {train: a.csv}\nevaluation: {best_metric: loss}",
        "evaluation.best_metric needs data.validation. Give it, such as 10%.",
    ),
    (
        "data: {train: a.csv}\nevaluation: {best_metric: last}\nepochs: 0",
        "epochs: found 0, must be at least 1.",
    ),
    (
        "evaluation: {best_metric: lst}",
        "evaluation.best_metric: lst is no metric of text_classification. Did you mean last?",
    ),
    (
        "evaluation: {best_metric: ''}",
        "evaluation.best_metric: '' is no metric of text_classification. Use one of loss,",
    ),
    (
        "evaluation: {best_metric: 5}",
        "evaluation.best_metric: found 5, must be text. Put quotes around it.",
    ),
    (
        "cluster: {resources_per_worker: {tpu: true}}",
        "cluster.resources_per_worker.tpu: found true, must be a number.",
    ),
    (
        "cluster: {resources_per_worker: {tpu: 0}}",
        "cluster.resources_per_worker.tpu: found 0, must be greater than 0.",
    ),
    (
        "cluster: {resources_per_worker: {tpu: -1}}",
        "cluster.resources_per_worker.tpu: found -1, must be greater than 0.",
    ),
    (
        "cluster: {resources_per_worker: {tpu: .nan}}",
        "cluster.resources_per_worker.tpu: found '.nan', must be a number.",
    ),
    (
        "cluster: {resources_per_worker: {CPU: 2}}",
        "cluster.resources_per_worker: CPU has a key of its own. Use cpus_per_worker.",
    ),
    (
        "cluster: {resources_per_worker: {GPU: 2}}",
        "cluster.resources_per_worker: GPU has a key of its own. Use gpus_per_worker.",
    ),
    (
        "cluster: {resources_per_worker: {'': 2}}",
        "cluster.resources_per_worker: found a resource named ''. Give it the name that Ray",
    ),
    (
        "cluster: {resources_per_worker: [tpu]}",
        "cluster.resources_per_worker: found ['tpu'], must be a mapping of keys to values.",
    ),
    (
        "zero: {stage: 3, offload_optimizer: nvme}",
        "zero: offload to nvme needs nvme_path. Give a folder such as /nvme.",
    ),
    (
        "zero: {stage: 3, offload_optimizer: nvme, nvme_path: ''}",
        "zero.nvme_path: '' is not the whole path of a folder on the nodes. Write one such",
    ),
    (
        "zero: {stage: 3, offload_optimizer: nvme, nvme_path: ' '}",
        "zero.nvme_path: ' ' is not the whole path of a folder on the nodes. Write one such",
    ),
    (
        "zero: {stage: 3, offload_optimizer: nvme, nvme_path: nvme}",
        "zero.nvme_path: nvme is not the whole path of a folder on the nodes. Write one such",
    ),
    (
        "zero: {stage: 3, offload_optimizer: nvme, nvme_path: 's3://bucket'}",
        "zero.nvme_path: s3://bucket is not the whole path of a folder on the nodes. Write",
    ),
    (
        "zero: {stage: 3, offload_optimizer: nvme, nvme_path: /dev/null}",
        "zero.nvme_path: /dev/null is a place of the system that holds no files. Name",
    ),
    (
        "zero: {stage: 3, nvme_path: /local}",
        "zero: nvme_path is given but nothing is offloaded to nvme. Set offload_optimizer or",
    ),
    (
        "evaluation: {best_metric: last/x}",
        "evaluation.best_metric: last/x is no metric of text_classification. Did you mean",
    ),
    (
        "early_stopping: {metric: last}",
        "early_stopping.metric: last is no metric of text_classification. Use one of loss,",
    ),
    ("freezing: {lora: {bits: true}}", "freezing.lora.bits: found true, allowed is 4."),
    ("evaluation: {every_steps: 0}", "evaluation.every_steps: found 0, must be at least 1."),
    (
        "cluster: {resources_per_worker: {tpu: two}}",
        "cluster.resources_per_worker.tpu: found 'two', must be a number.",
    ),
    (
        "cluster: {resources_per_worker: {memory: 5}}",
        "cluster.resources_per_worker: memory has a key of its own. Use",
    ),
    ("cluster: {num_workers: [true, 2]}", "cluster.num_workers.0: found true, must be a number."),
    ("cluster: {num_workers: true}", "cluster.num_workers: found true, must be a number."),
    (
        "model: {path: x, trust_remote_code: 1}",
        "model: trust_remote_code runs the model's own code and needs a commit, found no",
    ),
    (
        "task: {kind: text_classification, label_smoothing: 0.1}",
        "task.label_smoothing is not a key of a recipe. Did you mean loss.label_smoothing?",
    ),
    ("balance: {target: {a: true}}", "balance.target.a: found true, must be a number."),
    (
        "data: {train: a.csv, columns: {text: true}}",
        "data.columns is not a key of a recipe. Write what is in it as task.text.",
    ),
    (
        "data: {train: [{path: a.csv, weight: true}]}",
        "data.train.0.weight: found true, must be a number.",
    ),
    ("storage: true", "storage: found true, must be text. Put quotes around it."),
    (
        "optimizer: {betas: [true, 0.9]}",
        "optimizer.betas: found [1.0, 0.9], each must be at least 0 and less than 1.",
    ),
    (
        "zero: {overrides: {zero_optimization: {stage: true}}}",
        "zero: overrides may not set zero_optimization.stage: the recipe's own keys do.",
    ),
    (
        "x1: 5\nx2: 5\nx3: 5",
        "x1 is not a key of a recipe. Allowed here: name, storage, model, task, data,",
    ),
    (
        "batch: {x1: 5, x2: 5}",
        "batch.x1 is not a key of a recipe. Allowed here: lanes, microbatch_size,",
    ),
    (
        "seed: !!int abc",
        "found 'abc' behind the tag !!int. Leave the tag out: plain values are read, nothing",
    ),
    (
        "seed: !!float x",
        "found 'x' behind the tag !!float. Leave the tag out: plain values are read, nothing",
    ),
    (
        "seed: !!bool maybe",
        "found 'maybe' behind the tag !!bool. Leave the tag out: plain values are read,",
    ),
    (
        "seed: !!timestamp x",
        "found the tag !!timestamp. Leave the tag out: plain values are read, nothing else.",
    ),
    (
        "seed: !!timestamp 2024-13-45",
        "found the tag !!timestamp. Leave the tag out: plain values are read, nothing else.",
    ),
    (
        "name: !!binary '@@'",
        "found the tag !!binary. Leave the tag out: plain values are read, nothing else.",
    ),
    (
        "name: !!set {a}",
        "found the tag !!set. Leave the tag out: plain values are read, nothing else.",
    ),
    (
        "name: !!omap [a: 1]",
        "found the tag !!omap. Leave the tag out: plain values are read, nothing else.",
    ),
    (
        "name: !!pairs [a: 1]",
        "found the tag !!pairs. Leave the tag out: plain values are read, nothing else.",
    ),
    ("seed: !!null 5", "seed: found nothing, must be a whole number."),
    ("seed: !!int {}", "expected a scalar node, but found mapping. Correct the YAML there."),
    (
        "seed: !!int",
        "found '' behind the tag !!int. Leave the tag out: plain values are read, nothing",
    ),
    ("name: !!map 5", "expected a mapping node, but found scalar. Correct the YAML there."),
    ("name: !!seq 5", "expected a sequence node, but found scalar. Correct the YAML there."),
    (
        "name: !!python/object:os.system x",
        "found the tag !!python/object:os.system. Leave the tag out: plain values are read,",
    ),
    ("name: !own x", "found the tag !own. Leave the tag out: plain values are read, nothing else."),
    (
        'name: "\\U99999999"',
        "an escape, such as \\U00110000, or a version is out of range. Correct it.",
    ),
    (
        'name: "\\UFFFFFFFF"',
        "an escape, such as \\U00110000, or a version is out of range. Correct it.",
    ),
    (
        'name: "\\ud800"',
        "name: '\\ud800' is not a run name. Use 1 to 63 lower case letters, digits, and . _ -",
    ),
    (
        'name: "\\uDFFF"',
        "name: '\\udfff' is not a run name. Use 1 to 63 lower case letters, digits, and . _ -",
    ),
    (
        'name: "\\x00"',
        "name: '\\x00' is not a run name. Use 1 to 63 lower case letters, digits, and . _ -",
    ),
    (
        'name: "\\q"',
        "found unknown escape character 'q'. Write two backslashes for one, or use",
    ),
    ("balance: {target: {a: true}}", "balance.target.a: found true, must be a number."),
    ("balance: {target: {a: x}}", "balance.target.a: found 'x', must be a number."),
    (
        "seed: !!int 1_0",
        "found '1_0' behind the tag !!int. Leave the tag out: plain values are read, nothing",
    ),
    ("<<: 5", "found << with what is no mapping. Give it one, or leave it out"),
    ("<<: [5]", "found << with what is no mapping. Give it one, or leave it out"),
    ("<<: {epochs: 0}", "epochs: found 0, must be at least 1."),
    (
        "freezing: {lora: {bits: 4}}\nzero: {stage: 3}",
        "freezing.lora.bits 4 does not go with zero.stage 3. Use stage 0, 1 or 2.",
    ),
    (
        "freezing: {lora: {bits: 4}}\ncluster: {gpus_per_worker: 1}",
        "freezing.lora.bits 4 computes in bf16, found precision fp32. Use bf16.",
    ),
    (
        "data: {train: a.csv}\n"
        "freezing: {schedule: [{learn: head, until_stall: {max_epochs: 1}}, {learn: all}]}",
        "freezing.schedule: until_stall needs data.validation. Give it, such as 10%.",
    ),
    (
        "optimizer: {betas: [0.1, 0.2, 0.3]}",
        "optimizer.betas: found [0.1, 0.2, 0.3], must be a list",
    ),
    ("cluster: {num_workers: [1]}", "cluster.num_workers: found [1]. Give worker processes, or"),
    ("data: {train: {path: a.csv, name: ../x}}", "found '../x', must be letters, digits and"),
    ("rank: 5", "rank is not a key of a recipe. Did you mean freezing.lora.rank?"),
    ("every_epochs: 2", "Did you mean evaluation.every_epochs or checkpoint.every_epochs?"),
    ("y1: 5\ny2: 5", "y2 is not a key of a recipe. Use one of the keys above."),
]
"""Sections that disagree, counts and paths that cannot be, and tags of YAML."""


FILES: list[tuple[str | bytes, str]] = [
    (
        "name good\nmodel: {path: x}\n",
        "found a colon where no key can be. Put quotes around text",
    ),
    ("name: good: better\n", "found a colon where no key can be. Put quotes around text"),
    (
        "name: good\n  model: {path: x}\n",
        "found a colon where no key can be. Put quotes around text",
    ),
    ("name: good\nmodel:\npath: x\n", "path is not a key of a recipe. Did you mean model.path"),
    (
        "model: {path: x\ntask: {kind: text_classification}\n",
        "found no end of a bracket, or no comma. Close the brackets",
    ),
    (
        "data: {train: a.csv, validation: 10%\n",
        "found no end of a bracket, or no comma. Close the brackets",
    ),
    ('name: "good\nmodel: x\n', "found no end of a text in quotes. Close the quotes"),
    ("name: @good\n", "found character '@' at the beginning. Put quotes around text"),
    ("name: `good`\n", "found character '`' at the beginning. Put quotes around text"),
    ("name: %good\n", "found character '%' at the beginning. Put quotes around text"),
    ("name: good\nmodel: [path: x]\n", "data is missing. Give it: The labelled rows"),
    ('{"name": "good"}\n', "data is missing. Give it: The labelled rows"),
    (
        "<recipe><name>good</name></recipe>\n",
        "a recipe is a mapping of keys to values, found text. Write it",
    ),
    ("import thaw\nthaw.run()\n", "a recipe is a mapping of keys to values, found text. Write it"),
    ("[name]\ngood = 1\n", "found more behind the end of the value. Write all of it as one"),
    ("name=good\nepochs=3\n", "a recipe is a mapping of keys to values, found text. Write it"),
    (
        "name: good\n...\nmore: 1\n",
        "found more behind the end of the value. Write all of it as one",
    ),
    ("name: good\nname: good\n", "name is already given on line 1. Keep one of the two"),
    ("<<: *base\nname: good\n", "found undefined alias 'base'. Put quotes around text that"),
    (
        "name: !include other.yaml\n",
        "found the tag !include. Leave the tag out: plain values are read, nothing else",
    ),
    ("name: !!binary aGVsbG8=\n", "found the tag !!binary. Leave the tag out: plain values"),
    (
        "name: good\nepochs: {{ epochs }}\n",
        "found a list or a mapping for a key. Write keys as plain text",
    ),
    (
        "name: good\nmodel: {path: x}}\n",
        "found what fits no key above. Give all keys of a section",
    ),
    ("# only a comment\n", "a recipe is a mapping of keys to values, found nothing. Write"),
    ("null\n", "a recipe is a mapping of keys to values, found nothing. Write"),
    ("~\n", "a recipe is a mapping of keys to values, found nothing. Write"),
    ("true\n", "a recipe is a mapping of keys to values, found true or false. Write"),
    ("42\n", "a recipe is a mapping of keys to values, found a number. Write"),
    (
        "name: good\nmodel: &m {path: *m}\n",
        "aliases make the document too large. Write the values out",
    ),
    (b"name: caf\xe9\n", "is not UTF-8 text. Save it as UTF-8"),
    (
        b"\xff\xfen\x00a\x00m\x00e\x00:\x00 \x00g\x00o\x00o\x00d\x00\n\x00",
        "is not UTF-8 text. Save it as UTF-8",
    ),
    (b"name: " + b"x" * 2**20, "recipe.yaml is larger than 1,048,576 bytes. Give the YAML file"),
    (b"a: " + b"9" * 400, "a number of 400 digits. Write a number of at most 300 digits."),
    (b"a: &a 1\nb: [" + b"*a, " * 101 + b"]", "more than 100 aliases. Write the values out."),
    (b"%YAML 3.0\n---\nname: x", "found incompatible YAML document"),
    (b"%YAML " + b"9" * 5000 + b".1\n---\nname: x", "or a version is out of range. Correct it."),
    (b"\x89PNG\r\n\x1a\n\x00\x00", "is not UTF-8 text. Save it as UTF-8"),
    (b"PK\x03\x04abc", "character 3 is U+0003, no text. Take it out"),
    (b"\x1f\x8b\x08\x00abc", "is not UTF-8 text. Save it as UTF-8"),
    (b"name: go\x1bod\n", "character 9 is U+001B, no text. Take it out"),
    (b"\xff\xfe\xfd", "is not UTF-8 text. Save it as UTF-8"),
    (b"name: good\x07\n", "character 11 is U+0007, no text. Take it out"),
]
"""Files that are no YAML, or other YAML than a recipe."""


RECIPES: list[tuple[str | bytes, str]] = [
    *((changed(line), words) for line, words in (*LINES, *HABITS, *AGREEMENTS)),
    *TEXTS,
    *FILES,
]
