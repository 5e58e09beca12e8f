"""Which packages computed a run."""

import torch

from cluster.packages import changed_packages, installed_packages


def test_versions_are_those_that_are_imported() -> None:
    found = installed_packages()
    assert found["torch"] == torch.__version__.split("+")[0] or found["torch"] == torch.__version__
    assert {"deepspeed", "transformers", "ray", "pyarrow"} <= found.keys()


def test_what_changed_is_named() -> None:
    before = {"numpy": "2.1", "peft": "0.21", "torch": "2.13.0"}
    assert changed_packages(before, before) == []
    assert changed_packages({}, before) == []  # a run of old
    now = {"numpy": "2.1", "torch": "2.14.0"}
    assert changed_packages(before, now) == ["peft 0.21, now absent", "torch 2.13.0, now 2.14.0"]
