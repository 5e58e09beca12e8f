"""The life of a run."""

import pytest
from pydantic import ValidationError

from configs.run_sections import Checkpoint, Cluster, EarlyStopping, Evaluation, Tracking


@pytest.mark.parametrize(
    ("section", "value"),
    [
        (Evaluation, {"every_steps": 0}),
        (EarlyStopping, {"patience": 0}),
        (EarlyStopping, {"mode": "sideways"}),
        (Checkpoint, {"keep_last": 0}),
        (Checkpoint, {"every_minutes": 0}),
        (Tracking, {"log_every_steps": 0}),
        (Cluster, {"num_workers": 0}),
        (Cluster, {"cpus_per_worker": 0}),
        (Cluster, {"placement": "ANY"}),
        (Cluster, {"nodes": 2}),
    ],
)
def test_values_out_of_bounds_are_refused(section, value):
    with pytest.raises(ValidationError):
        section.model_validate(value)


def test_sections_cannot_be_changed_afterwards():
    with pytest.raises(ValidationError, match="frozen"):
        Cluster().num_workers = 2
