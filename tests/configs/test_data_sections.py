"""Task, data and batches."""

import pytest
from pydantic import ValidationError

from configs.data_sections import Data


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("10%", 0.1),
        (" 2.5 % ", 0.025),
        (0.2, 0.2),
        ("files.csv", "files.csv"),
        (["a.csv", "b.csv"], ("a.csv", "b.csv")),
        (None, None),
    ],
)
def test_a_split_is_a_share_or_files(given, read):
    assert Data(train="a.csv", test=given).test == read


@pytest.mark.parametrize("share", ["0%", "100%", 1.5, -0.1])
def test_a_share_lies_between_none_and_all(share):
    with pytest.raises(ValidationError):
        Data(train="a.csv", validation=share)


def test_shares_leave_rows_to_train_on():
    with pytest.raises(ValidationError, match="Leave some for training"):
        Data(train="a.csv", validation="50%", test="50%")
