"""The folder that is written loads, and its tokenizer and template give back what they were fed."""

import json
from pathlib import Path

from configs.model_sections import Model
from configs.task_sections import InstructionTuning
from launcher.small_language_model import write_model
from trainers.tasks.instruction_tuning import INSTRUCTION_TUNING


def test_the_folder_is_a_model_to_be_trained_from_scratch(tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    pairs = [{"prompt": f"def f{n}(x):", "completion": f"Give {n} times x."} for n in range(20)]
    rows.write_text("".join(f"{json.dumps(pair)}\n" for pair in pairs), encoding="utf-8")
    folder = write_model(tmp_path / "model", rows)
    task = InstructionTuning(kind="instruction_tuning")
    model = Model(path=str(folder), from_scratch=True)
    built, *_ = INSTRUCTION_TUNING.build_model(model, task, ())
    tokenizer = INSTRUCTION_TUNING.load_processor(model)
    assert built.config.vocab_size == len(tokenizer)
    text = tokenizer.apply_chat_template(
        [{"role": "user", "content": "def f(x):"}, {"role": "assistant", "content": "Give x."}],
        tokenize=False,
    )
    assert text == "<|user|>def f(x):<|assistant|>Give x.<|end|>"
    ids = tokenizer(text)["input_ids"]
    assert tokenizer.decode(ids) == text
    assert ids[0] == tokenizer.convert_tokens_to_ids("<|user|>") and ids[-1] == 0
    written = (folder / "config.json").read_bytes()
    assert write_model(folder, rows) == folder
    assert (folder / "config.json").read_bytes() == written
