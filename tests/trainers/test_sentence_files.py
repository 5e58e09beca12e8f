"""sentence-transformers reads the files that are written for it."""

import json
from pathlib import Path

import pytest
import torch

from configs.schema import Recipe
from tests.origin import make_origin
from tests.tiny import make_model_folder
from trainers.sentence_files import save_sentence_files


def test_modules_stand_in_their_order(tmp_path: Path) -> None:
    save_sentence_files(tmp_path, 32, 17)
    modules = json.loads((tmp_path / "modules.json").read_text())
    assert [each["path"] for each in modules] == ["", "1_Pooling", "2_Normalize"]
    assert [each["name"] for each in modules] == ["0", "1", "2"]
    assert json.loads((tmp_path / "1_Pooling/config.json").read_text())["pooling_mode_mean_tokens"]
    assert json.loads((tmp_path / "sentence_bert_config.json").read_text())["max_seq_length"] == 17


@pytest.mark.parametrize("kind", ["bert", "roberta", "distilbert"])
def test_its_vectors_are_those_that_are_predicted(tmp_path: Path, kind: str) -> None:
    library = pytest.importorskip("sentence_transformers", reason="the extra dev is not installed")
    import pyarrow as pa
    from transformers import AutoModel

    from configs.model_sections import Model
    from trainers.export import save_export
    from trainers.predictor import Predictor
    from trainers.tasks.tokenizer import load_tokenizer

    base = make_model_folder(tmp_path / "base", kind, spread=0.3)
    origin = make_origin(base)
    values = origin.recipe.model_dump() | {"task": {"kind": "sentence_embedding"}}
    origin = type(origin)(Recipe.model_validate(values), origin.manifest, {})
    model = AutoModel.from_pretrained(base)
    folder = tmp_path / "export"
    tokenizer = load_tokenizer(Model(path=str(base)))
    save_export(folder, model.state_dict(), model, tokenizer, origin)
    texts = ["the topic1a of", "", "she was with the topic2b", "a " * 100]
    found = library.SentenceTransformer(str(folder), device="cpu").encode(texts)
    ours = Predictor(str(folder))(pa.table({"anchor": texts}))["embedding"]
    torch.testing.assert_close(torch.tensor(found), torch.tensor(ours), rtol=0, atol=1e-6)
