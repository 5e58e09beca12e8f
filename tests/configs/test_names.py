"""Names that become paths lead nowhere else."""

import pytest

from configs.errors import RecipeError
from configs.names import check_run_name, checked_job_id, is_run_name
from configs.schema import Recipe

GOOD = ("a", "0", "banking77", "a.b_c-d", "a" * 63, "v1.2")
BAD = (
    "", ".", "..", "../evil", "a/b", "a/../b", "/etc", "a..b", "A", "a b", "a\n", "a\x00", "-a",
    "a-", ".a", "a.", "_a", "a" * 64, "$(id)", "a;b", "a&b", "`id`", "a|b", "a'b", 'a"b', "a*", "~",
    "a\\b", "\u00e9", "\uff0e\uff0e", "a%2f..", "runs:x",
)  # fmt: skip


@pytest.mark.parametrize("name", GOOD)
def test_names_of_runs(name: str) -> None:
    assert is_run_name(name) and check_run_name(name) == name
    assert checked_job_id(f"{name}.prepare.01") == f"{name}.prepare.01"


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_name_is_refused_in_one_sentence(name: str) -> None:
    assert not is_run_name(name)
    with pytest.raises(RecipeError, match="is not a run name") as told:
        check_run_name(name)
    assert "\n" not in str(told.value)
    value = {
        "name": name,
        "model": {"path": "x"},
        "task": {"kind": "text_classification"},
        "data": {"train": "x.csv"},
    }
    with pytest.raises(ValueError, match="is not a run name"):
        Recipe.model_validate(value)


@pytest.mark.parametrize("job_id", ["", "a", "../../evil", "x/y", "a..01", "A.01", "a.01\n"])
def test_what_is_no_job_is_refused(job_id: str) -> None:
    with pytest.raises(RecipeError, match="is not the id of a job"):
        checked_job_id(job_id)


def test_a_long_name_is_not_repeated_whole() -> None:
    with pytest.raises(RecipeError) as told:
        check_run_name("a" * 10_000)
    assert len(str(told.value)) < 300
