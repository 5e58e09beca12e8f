"""No place of a machine is in what is shown elsewhere."""

import pytest

from trainers.shown_paths import shown_model, shown_path, without_places


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("org/model", "org/model"),
        ("models/mine", "models/mine"),
        ("/people/ann/models/mini/model", ".../mini/model"),
        ("file:///people/ann/mini/model/", ".../mini/model"),
        ("~/mini", ".../mini"),
        ("/people/ann/.cache/huggingface/hub/models--org--a-model/snapshots/3f2a", "org/a-model"),
        ("s3://bucket/models/mini", "s3://bucket/models/mini"),
    ],
)
def test_a_model_is_named_by_id_or_last_parts(path: str, shown: str) -> None:
    assert shown_model(path) == shown


def test_absolute_paths_are_shortened_wherever_they_stand() -> None:
    values = {"a": ["/x/y/z.csv", "rel/z.csv"], "b": {"c": "sqlite:////people/ann/x.db", "d": 3}}
    assert without_places(values) == {
        "a": [".../y/z.csv", "rel/z.csv"],
        "b": {"c": ".../ann/x.db", "d": 3},
    }
    assert shown_path("/") == "..."
