"""Predictions from an exported folder alone, against the live model."""

from pathlib import Path

import pyarrow as pa
import pytest
import torch

from configs.errors import DataError, NotFoundError
from configs.schema import Model
from tests.object_store import ObjectStore
from tests.origin import NAMES, make_origin
from tests.tiny import make_model_folder
from trainers import storage
from trainers.export import save_export
from trainers.predictor import Predictor
from trainers.tasks.one_label import PREDICTED
from trainers.tasks.pretrained import Head, build_pretrained
from trainers.tasks.tokenizer import load_tokenizer

TEXTS = ["the topic1a of", "she was with the topic2b and the topic2c", "", "to"]
AUTO = "AutoModelForSequenceClassification"


def make_export(tmp_path: Path, kind: str = "bert") -> Path:
    base = Model(path=str(make_model_folder(tmp_path / "base", kind)))
    model, _, _ = build_pretrained(AUTO, base, Head(NAMES))
    with torch.no_grad():
        # Far from the near-equal logits of fresh heads.
        for parameter in model.parameters():
            parameter.mul_(4.0)
    folder = tmp_path / "export"
    save_export(folder, model.state_dict(), model, load_tokenizer(base), make_origin(base.path))
    return folder


@pytest.mark.parametrize("kind", ["bert", "gpt2"])
def test_predictions_are_the_model_s_whatever_the_batch(tmp_path: Path, kind: str) -> None:
    folder = make_export(tmp_path, kind)
    predictor = Predictor(str(folder), microbatch_size=3)
    together = predictor(pa.table({"text": TEXTS}))
    assert set(together) == {"predicted_label", "probability", "probabilities"}
    for row, text in enumerate(TEXTS):
        alone = predictor(pa.table({"text": [text]}))
        assert together["predicted_label"][row] == alone["predicted_label"][0]
        assert together["probabilities"][row] == pytest.approx(alone["probabilities"][0], abs=1e-6)
    ids = predictor._processor(TEXTS[1], return_tensors="pt")
    with torch.no_grad():
        expected = predictor._model(**ids).logits.softmax(-1)[0]
    assert together["probabilities"][1] == pytest.approx(expected.tolist(), abs=1e-6)
    assert together["probability"][1] == max(together["probabilities"][1])
    assert together["predicted_label"][1] == NAMES[int(expected.argmax())]


def test_other_columns_are_left_alone_and_no_rows_give_none(tmp_path: Path) -> None:
    predictor = Predictor(str(make_export(tmp_path)))
    texts = pa.table({"text": TEXTS})
    assert predictor(texts.append_column("other", [range(4)])) == predictor(texts)
    assert predictor(texts.slice(0, 0)) == {name: [] for name in PREDICTED}


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    predictor = Predictor(str(make_export(tmp_path)))
    with pytest.raises(DataError, match="no column text; it has sentence"):
        predictor(pa.table({"sentence": TEXTS}))
    with pytest.raises(DataError, match="row 1 has no text"):
        predictor(pa.table({"text": ["a", None]}))
    _, wrong = predictor.encode(pa.table({"text": ["a", None, "b", None]}))
    assert list(wrong) == [1, 3]
    with pytest.raises(NotFoundError, match="holds no exported model"):
        Predictor(str(tmp_path))


def test_of_a_remote_folder_only_its_own_files_are_fetched(
    tmp_path: Path, object_store: ObjectStore
) -> None:
    folder = make_export(tmp_path)
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text("{}")
    address = storage.join(object_store.make_bucket("exported"), "export")
    for path in folder.rglob("*"):
        if path.is_file():
            storage.upload(path, storage.join(address, path.relative_to(folder).as_posix()))
    texts = pa.table({"text": TEXTS})
    assert Predictor(address)(texts) == Predictor(str(folder))(texts)
