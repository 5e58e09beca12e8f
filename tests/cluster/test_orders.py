"""Both ends of the wire."""

from pathlib import Path

import pytest

from cluster.orders import Orders, load_function, read_data, read_outcome
from configs.errors import StorageError
from configs.records import Ended
from configs.schema import Recipe
from trainers.storage import write_atomically


def orders(run_dir: Path, **values: object) -> Orders:
    recipe = Recipe.model_validate(
        {
            "name": "one",
            "model": {"path": "m"},
            "task": {"kind": "text_classification"},
            "data": {"train": "d.csv", "validation": "10%"},
        }
    )
    given = {
        "function": "a:b",
        "recipe": recipe,
        "num_workers": 2,
        "run_dir": str(run_dir),
        "data_dir": None,
        "attempt": 1,
        "reason": "submitted",
        "resumed_from_step": None,
        "records": "r",
        "label": "a01",
    }
    return Orders.model_validate({**given, **values})


def test_orders_survive_the_wire(tmp_path: Path) -> None:
    sent = orders(tmp_path)
    assert Orders.model_validate_json(sent.model_dump_json()) == sent
    assert sent.is_finetuning
    assert not orders(tmp_path, arguments={"split": "test"}).is_finetuning


def test_outcome_is_read_once_it_is_there(tmp_path: Path) -> None:
    sent = orders(tmp_path)
    assert read_outcome(sent) is None
    assert read_data(sent) is None
    ended = Ended(
        time=1.0,
        state="succeeded",
        exit_code=0,
        error=None,
        message="done",
        step=1,
        metrics={},
        rows=1,
    )
    write_atomically(sent.outcome, ended.model_dump_json().encode())
    assert read_outcome(sent) == ended
    assert Path(sent.outcome).parent == tmp_path / "logs" / "a01"


@pytest.mark.parametrize("data", [b"", b'{"kind": "ended", "time"', b"[]", b"\xff\x00", b"{}"])
def test_a_damaged_word_of_rank_0_is_told(tmp_path: Path, data: bytes) -> None:
    sent = orders(tmp_path)
    write_atomically(sent.outcome, data)
    with pytest.raises(StorageError, match=r"outcome\.json is damaged: .* how the attempt ended"):
        read_outcome(sent)
    write_atomically(sent.data, data)
    with pytest.raises(StorageError, match=r"data\.json is damaged: .* prepared data are\. Resume"):
        read_data(sent)


def test_function_is_found_by_its_path() -> None:
    assert load_function("cluster.orders:load_function") is load_function
