"""A head on pooled states, by hand and by those who read an export of it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from configs.schema import Model, Recipe
from tests.origin import NAMES, make_origin
from tests.tiny import make_model_folder
from trainers.export import check_export, save_export
from trainers.tasks.pooled_classifier import PooledClassifier, encoder_of, pool
from trainers.tasks.pretrained import Head, build_pretrained
from trainers.tasks.tokenizer import load_tokenizer

AUTO = "AutoModelForSequenceClassification"
IDS = torch.tensor([[7, 8, 9, 10], [11, 12, 0, 0]])
MASK = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])
TEXTS = ["the topic1a of", "she was with the topic2b and the topic2c"]


def build(tmp_path: Path, kind: str, pooling: str, num_labels: int | None = None):
    base = make_model_folder(tmp_path / "base", kind, spread=0.3, num_labels=num_labels)
    asked = Model(path=str(base), pooling=pooling)
    model, head, new = build_pretrained(AUTO, asked, Head(NAMES))
    return base, model.eval(), head, new


def test_vectors_are_of_the_tokens_under_the_mask() -> None:
    states = torch.arange(24.0).reshape(2, 3, 4)
    mask = torch.tensor([[1, 1, 0], [0, 1, 1]])  # the second is padded on the left
    expected = torch.stack([(states[0, 0] + states[0, 1]) / 2, (states[1, 1] + states[1, 2]) / 2])
    assert pool(states, mask, "mean").equal(expected)
    assert pool(states, mask, "cls").equal(torch.stack([states[0, 0], states[1, 1]]))
    assert pool(states, torch.zeros(2, 3), "mean").equal(torch.zeros(2, 4))
    assert pool(states.half(), mask, "mean").dtype == torch.float16


@pytest.mark.parametrize("pooling", ["mean", "cls"])
@pytest.mark.parametrize("kind", ["bert", "roberta", "distilbert", "modernbert", "gpt2"])
def test_the_head_reads_the_encoder_s_last_states(tmp_path: Path, kind: str, pooling: str) -> None:
    base, model, head, new = build(tmp_path, kind, pooling)
    assert head == new == {"pooled_classifier.weight", "pooled_classifier.bias"}
    from transformers import AutoModel

    with torch.no_grad():
        logits = model(input_ids=IDS, attention_mask=MASK).logits
        states = AutoModel.from_pretrained(base)(input_ids=IDS, attention_mask=MASK)
        states = states.last_hidden_state
        means = torch.stack([states[0].mean(0), states[1, :2].mean(0)])
        vectors = means if pooling == "mean" else states[:, 0]
        torch.testing.assert_close(logits, model.pooled_classifier(vectors), rtol=0, atol=1e-6)
        # Whatever stands in the padding.
        other = model(input_ids=IDS.where(MASK.bool(), 5), attention_mask=MASK).logits
    torch.testing.assert_close(logits, other, rtol=0, atol=1e-6)
    assert not any("pooler" in name for name, _ in model.named_parameters())


def test_a_head_of_the_folder_s_own_is_left_out(tmp_path: Path) -> None:
    _, model, head, new = build(tmp_path, "bert", "mean", num_labels=5)
    assert head == new == {"pooled_classifier.weight", "pooled_classifier.bias"}
    assert model.pooled_classifier.out_features == len(NAMES)


READER = """
import json, sys, torch
folder, texts = sys.argv[1], json.loads(sys.argv[2])
from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline
model = AutoModelForSequenceClassification.from_pretrained(folder, trust_remote_code=True).eval()
inputs = AutoTokenizer.from_pretrained(folder)(texts, padding=True, return_tensors="pt")
with torch.no_grad():
    found = {"transformers": model(**inputs).logits.tolist()}
pipe = pipeline("text-classification", model=folder, trust_remote_code=True, device="cpu")
found["pipeline"] = [each["label"] for each in pipe(texts)]
found["class"] = type(model).__name__
if importable := __import__("importlib.util").util.find_spec("sentence_transformers"):
    from sentence_transformers import SentenceTransformer
    found["sentences"] = SentenceTransformer(folder, device="cpu").encode(texts).tolist()
assert not any(name.split(".")[0] in ("trainers", "configs") for name in sys.modules)
print(json.dumps(found))
"""


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "pooling"), [("bert", "mean"), ("roberta", "cls")])
def test_others_read_an_export_without_thaw(tmp_path: Path, kind: str, pooling: str) -> None:
    """In a fresh process, in another folder, as README says: both ways give our logits."""
    import json

    base, model, _, _ = build(tmp_path, kind, pooling)
    origin = make_origin(base)
    values = origin.recipe.model_dump() | {"model": {"path": str(base), "pooling": pooling}}
    origin = type(origin)(Recipe.model_validate(values), origin.manifest, {})
    tokenizer = load_tokenizer(Model(path=str(base)))
    folder = tmp_path / "export"
    save_export(folder, model.state_dict(), model, tokenizer, origin)
    assert Path(folder / "pooled_classifier.py").is_file()
    inputs = tokenizer(TEXTS, padding=True, return_tensors="pt")
    with torch.no_grad():
        logits = model(**inputs).logits
    assert check_export(folder, dict(inputs), logits) < 1e-6
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    environment |= {"HF_MODULES_CACHE": str(tmp_path / "modules"), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-I", "-c", READER, str(folder), json.dumps(TEXTS)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    for way in {"transformers", "sentences"} & set(found):
        torch.testing.assert_close(torch.tensor(found[way]), logits, rtol=0, atol=1e-5)
    assert found["pipeline"] == [NAMES[place] for place in logits.argmax(-1).tolist()]
    # An export is also a base to go on from: its head is there, or a new one of another size.
    again, _, new = build_pretrained(AUTO, Model(path=str(folder), pooling=pooling), Head(NAMES))
    assert new == frozenset()
    with torch.no_grad():
        assert again.eval()(**inputs).logits.equal(logits)
    own, _, new = build_pretrained(AUTO, Model(path=str(folder)), Head(NAMES))
    assert "classifier.weight" in new or "classifier.out_proj.weight" in new
    assert "thaw_pooling" not in own.config.to_dict()


def test_an_encoder_gets_a_new_head(tmp_path: Path) -> None:
    base = make_model_folder(tmp_path / "base")
    with pytest.raises(ValueError, match="has no thaw_pooling"):
        PooledClassifier.from_pretrained(base)
    made = PooledClassifier.from_pretrained(base, thaw_pooling="mean", num_labels=4)
    assert made.pooled_classifier.out_features == 4
    assert type(PooledClassifier(made.config)) is type(made)


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("t5", "T5Model has a decoder"),
        ("fnet", "takes no input_ids with an attention_mask"),
        ("vit", "takes no input_ids with an attention_mask"),
        ("encodec_decoder", "transformers has no AutoModel"),
    ],
)
def test_what_gives_no_states_of_tokens_is_refused(kind: str, said: str) -> None:
    from transformers import AutoConfig, PreTrainedConfig

    config = PreTrainedConfig() if "_" in kind else AutoConfig.for_model(kind)
    with pytest.raises(ValueError, match=said):
        encoder_of(config)
