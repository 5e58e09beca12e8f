"""What is said of a recipe before it runs."""

import pytest

from configs.load import recipe_from
from launcher.messages import Line
from launcher.plan import recipe_lines


def lines_of(**sections: object) -> list[Line]:
    """Give what is said of a recipe with these sections laid over the needed ones."""
    needed = {
        "name": "small",
        "model": {"path": "org/model"},
        "task": {"kind": "text_classification"},
        "data": {"train": "a.csv"},
    }
    return recipe_lines(recipe_from(needed | sections))


@pytest.mark.parametrize(
    ("freezing", "words"),
    [
        ("full", "every weight learns"),
        ("head", "the head learns"),
        ({"last": 2}, "head and the last 2 blocks learn"),
        ({"train": ["a", "b"], "embeddings": True}, "head and 2 patterns, embeddings learn"),
        ({"mode": "full", "embeddings": False}, "all but embeddings"),
        ({"preset": "bitfit"}, "bitfit"),
        ({"gradual": True}, "one more block learns each epoch"),
        ({"lora": {}}, "LoRA of rank 8 learns, and the head"),
        ({"lora": {"rank": 4, "dora": True}}, "DoRA of rank 4 learns, and the head"),
        ({"schedule": [{"learn": "head", "steps": 9}, {"learn": "all"}]}, "2 phases"),
    ],
)
def test_a_recipe_says_what_learns(freezing, words):
    first, second = lines_of(freezing=freezing)
    assert first.parts == ("small", "text_classification", "org/model", words)
    assert second.parts[:2] == ("3 epochs", "64 rows per step")


@pytest.mark.parametrize(
    ("batch", "words"),
    [
        ({"lanes": 4, "microbatch_size": 8}, "32 rows per step"),
        ({"lanes": 1, "microbatch_size": 1}, "1 row per step"),
        ({"lanes": 8, "microbatch_tokens": 1024}, "about 8,192 tokens per step"),
    ],
)
def test_a_recipe_says_how_much_a_step_sees(batch, words):
    assert lines_of(batch=batch)[1].parts[1] == words


@pytest.mark.parametrize(
    ("path", "revision", "where"),
    [
        ("org/model", "a" * 40, f"of org/model at {'a' * 40}"),
        ("/models/mine", None, "in /models/mine"),
    ],
)
def test_code_that_a_model_brings_is_said(path, revision, where):
    *_, line = lines_of(model={"path": path, "revision": revision, "trust_remote_code": True})
    assert (line.label, line.tone) == ("code", "warning")
    assert line.parts == (f"Python code {where} will run on every worker",)
