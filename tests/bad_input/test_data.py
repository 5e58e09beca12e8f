"""Data that cannot be used: each is refused with exit code 3, and nothing is left behind."""

import contextlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from configs.errors import DataError, RecipeError
from configs.load import recipe_from
from tests.bad_input.data_cases import DATA, GOOD, WHOLE, Case, arrow, table
from tests.bad_input.sentences import left_in, poor
from tests.trainers.data.words import WORDS, make_recipe
from trainers.data.preparation import prepare


@pytest.mark.parametrize("case", DATA, ids=[f"{n}-{case.file}" for n, case in enumerate(DATA)])
def test_data_is_refused_in_one_sentence(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / case.file).write_bytes(case.content)
    before = left_in(tmp_path)
    with pytest.raises((DataError, RecipeError)) as told:
        recipe = recipe_from(
            {
                "name": "bad",
                "model": {"path": "no/such-model"},
                "task": {"kind": "text_classification", **case.task},
                "data": {"train": case.file, **case.data},
            }
        )
        prepare(recipe, recipe.storage, WORDS)
    said = str(told.value)
    assert told.type is DataError, said
    assert case.words in said
    assert not poor(said), said
    assert left_in(tmp_path) == before


BYTES = st.one_of(
    st.binary(max_size=200),
    st.tuples(st.integers(0, len(WHOLE)), st.binary(max_size=8)).map(
        lambda cut: WHOLE[: cut[0]] + cut[1] + WHOLE[cut[0] + len(cut[1]) :]
    ),
    st.text(alphabet=st.sampled_from('text,label\n"{}[]:ab\\u0 \t;'), max_size=80).map(str.encode),
    st.integers(0, len(GOOD)).map(lambda cut: GOOD[:cut]),
    st.binary(max_size=30).map(lambda more: arrow(table(text=["a"], label=["b"]))[:-20] + more),
)
FORMATS = st.sampled_from(["csv", "tsv", "json", "jsonl", "parquet", "arrow"])


@settings(
    max_examples=120,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(content=BYTES, kind=FORMATS)
def test_any_bytes_are_rows_or_say_what_is_wrong(tmp_path: Path, content: bytes, kind: str) -> None:
    path = tmp_path / f"rows.{kind}"
    path.write_bytes(content)
    recipe = make_recipe(path)
    try:
        made = prepare(recipe, str(tmp_path / "store"), WORDS)
        assert made.manifest.report.rows_in > 0
    except DataError as error:
        assert str(error) and "\n" not in str(error) and "Traceback" not in str(error)
        assert len(str(error)) < 1000
    finally:
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
    made_folder = tmp_path / "store" / ".prepared"
    names = [each.name for each in made_folder.iterdir()] if made_folder.exists() else []
    assert not [name for name in names if "." in name]
