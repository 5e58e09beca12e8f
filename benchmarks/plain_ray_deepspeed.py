"""Fine-tune a text classifier with Ray Train and DeepSpeed: what a user writes without Thaw.

launch.py and recovery.py submit it with `ray job submit`. It leaves the times of its optimizer
steps behind, each with the process that took it.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import ray.train
import ray.train.torch


def read_rows(path: str, text: str, label: str) -> tuple[list[str], list[str]]:
    """Read the two columns of a CSV or JSON lines file."""
    import pandas as pd

    table = pd.read_csv(path) if path.endswith(".csv") else pd.read_json(path, lines=True)
    return table[text].astype(str).tolist(), table[label].astype(str).tolist()


def build_loader(settings: dict[str, Any], split: str, labels: list[str], *, train: bool) -> Any:
    """Tokenise a file and deal it to the workers."""
    import torch
    from torch.utils.data import DataLoader, DistributedSampler
    from transformers import AutoTokenizer, DataCollatorWithPadding

    tokenizer = AutoTokenizer.from_pretrained(settings["model"])
    texts, names = read_rows(settings[split], settings["text"], settings["label"])
    number = {name: index for index, name in enumerate(labels)}
    encoded = tokenizer(texts, truncation=True, max_length=settings["max_length"])
    rows: Any = [
        {"input_ids": ids, "attention_mask": mask, "labels": number[name]}
        for ids, mask, name in zip(
            encoded["input_ids"], encoded["attention_mask"], names, strict=True
        )
    ]
    context = ray.train.get_context()
    sampler: Any = DistributedSampler(
        rows, context.get_world_size(), context.get_world_rank(), shuffle=train, seed=0
    )
    torch.manual_seed(0)
    size = settings["microbatch_size" if train else "eval_microbatch_size"]
    collate = DataCollatorWithPadding(tokenizer)
    return DataLoader(rows, batch_size=size, sampler=sampler, collate_fn=collate)


def build_engine(settings: dict[str, Any], labels: list[str]) -> Any:
    """Load the model and hand it to DeepSpeed."""
    import deepspeed
    import torch
    from transformers import AutoModelForSequenceClassification

    model = AutoModelForSequenceClassification.from_pretrained(
        settings["model"], num_labels=len(labels), id2label=dict(enumerate(labels))
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings["learning_rate"])
    workers = ray.train.get_context().get_world_size()
    config = {
        "train_micro_batch_size_per_gpu": settings["microbatch_size"],
        "gradient_accumulation_steps": settings["lanes"] // workers,
        "gradient_clipping": 1.0,
        "zero_optimization": {"stage": settings["stage"]},
        "zero_allow_untested_optimizer": True,
    }
    return deepspeed.initialize(model=model, optimizer=optimizer, config=config)[0]


def evaluate(engine: Any, loader: Any) -> float:
    """Give the accuracy over all workers."""
    import torch
    import torch.distributed as dist

    engine.eval()
    counts = torch.zeros(2)
    with torch.no_grad():
        for batch in loader:
            guesses = engine(**batch).logits.argmax(-1)
            counts += torch.tensor([(guesses == batch["labels"]).sum(), len(guesses)])
    dist.all_reduce(counts)
    return float(counts[0] / counts[1])


def train_worker(settings: dict[str, Any]) -> None:
    """Train, evaluate, and save on one worker."""
    import torch

    torch.set_num_threads(settings["cpus_per_worker"])
    labels = sorted(set(read_rows(settings["train"], settings["text"], settings["label"])[1]))
    loader = build_loader(settings, "train", labels, train=True)
    engine = build_engine(settings, labels)
    rank = ray.train.get_context().get_world_rank()
    log = Path(settings["steps_file"])
    log.with_name(f"{log.name}.rank-{rank}").write_text(str(os.getpid()))
    restore(engine)
    engine.train()
    steps = engine.global_steps
    for epoch in range(1_000_000):
        loader.sampler.set_epoch(epoch)
        for batch in loader:
            loss = engine(**batch).loss
            engine.backward(loss)
            engine.step()
            if steps == engine.global_steps:
                continue
            steps = engine.global_steps
            if rank == 0:
                with log.open("a") as stream:
                    stream.write(f"{time.time()} {steps} {os.getpid()}\n")
                print(f"step {steps} loss {loss.item():.4f}", flush=True)
            if settings["save_every"] and steps % settings["save_every"] == 0:
                save(engine)
            if steps >= settings["max_steps"]:
                finish(settings, engine, labels)
                return


def save(engine: Any) -> None:
    """Write this worker's part of a checkpoint and report it."""
    with tempfile.TemporaryDirectory() as folder:
        engine.save_checkpoint(folder)
        ray.train.report({}, checkpoint=ray.train.Checkpoint.from_directory(folder))


def restore(engine: Any) -> None:
    """Go on from the latest checkpoint that Ray Train knows."""
    found = ray.train.get_checkpoint()
    if found is not None:
        with found.as_directory() as folder:
            engine.load_checkpoint(folder)


def finish(settings: dict[str, Any], engine: Any, labels: list[str]) -> None:
    """Evaluate the test file and report the model."""
    from transformers import AutoTokenizer

    accuracy = evaluate(engine, build_loader(settings, "test", labels, train=False))
    metrics = {"accuracy": accuracy}
    if ray.train.get_context().get_world_rank() > 0:
        ray.train.report(metrics)
        return
    with tempfile.TemporaryDirectory() as folder:
        engine.module.save_pretrained(folder)
        AutoTokenizer.from_pretrained(settings["model"]).save_pretrained(folder)
        ray.train.report(metrics, checkpoint=ray.train.Checkpoint.from_directory(folder))


def main() -> None:
    """Read the options and start the workers."""
    parser = argparse.ArgumentParser()
    for name in ("model", "train", "test", "text", "label", "storage", "steps-file"):
        parser.add_argument(f"--{name}", required=True)
    for name, value in (("lanes", 8), ("microbatch-size", 8), ("eval-microbatch-size", 32)):
        parser.add_argument(f"--{name}", type=int, default=value)
    for name, value in (("max-length", 128), ("max-steps", 20), ("stage", 0), ("workers", 2)):
        parser.add_argument(f"--{name}", type=int, default=value)
    for name in ("save-every", "max-failures"):
        parser.add_argument(f"--{name}", type=int, default=0)
    parser.add_argument("--cpus-per-worker", type=int, default=1)
    parser.add_argument("--learning-rate", type=float, default=2e-4)
    settings = vars(parser.parse_args())
    trainer = ray.train.torch.TorchTrainer(
        train_worker,
        train_loop_config=settings,
        scaling_config=ray.train.ScalingConfig(
            num_workers=settings["workers"],
            resources_per_worker={"CPU": settings["cpus_per_worker"]},
            placement_strategy="SPREAD",
        ),
        run_config=ray.train.RunConfig(
            name=f"plain-{time.time_ns()}",
            storage_path=settings["storage"],
            failure_config=ray.train.FailureConfig(max_failures=settings["max_failures"]),
        ),
    )
    print(trainer.fit().metrics)


if __name__ == "__main__":
    main()
