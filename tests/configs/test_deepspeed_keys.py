"""Keys of DeepSpeed's configuration, against the version that is installed."""

from collections.abc import Iterator
from typing import Any

import pytest

from configs.deepspeed_keys import OFFLOAD_OPTIMIZER, OFFLOAD_PARAM, TOP, ZERO, unknown_keys
from configs.errors import RecipeError
from configs.load import recipe_from


class Keys:
    """The keys of a mapping, which note what is looked for among them."""

    def __init__(self, asked: set[str], held: dict[str, Any]) -> None:
        self._asked, self._held = asked, held

    def __contains__(self, key: str) -> bool:
        self._asked.add(key)
        return dict.__contains__(self._held, key)

    def __iter__(self) -> Iterator[str]:
        return iter(list(dict.keys(self._held)))


class Noting(dict[str, Any]):
    """A configuration that notes every key it is asked for."""

    def __init__(self, values: dict[str, Any]) -> None:
        super().__init__(values)
        self.asked: set[str] = set()

    def get(self, key: str, default: Any = None) -> Any:
        self.asked.add(key)
        return super().get(key, default)

    def __contains__(self, key: object) -> bool:
        self.asked.add(str(key))
        return super().__contains__(key)

    def __getitem__(self, key: str) -> Any:
        self.asked.add(key)
        return super().__getitem__(key)

    def keys(self) -> Any:
        return Keys(self.asked, self)


def test_keys_are_those_that_deepspeed_reads() -> None:
    from deepspeed.runtime.config import DeepSpeedConfig

    values = Noting({"train_micro_batch_size_per_gpu": 1})
    DeepSpeedConfig(values)
    assert values.asked == TOP


def test_keys_of_zero_are_the_fields_of_deepspeeds_model() -> None:
    from deepspeed.runtime.zero.config import DeepSpeedZeroConfig
    from deepspeed.runtime.zero.offload_config import (
        DeepSpeedZeroOffloadOptimizerConfig,
        DeepSpeedZeroOffloadParamConfig,
    )

    fields = DeepSpeedZeroConfig.model_fields
    aliases = {field.alias for field in fields.values() if field.alias}
    assert set(fields) | aliases == ZERO
    assert set(DeepSpeedZeroOffloadParamConfig.model_fields) == OFFLOAD_PARAM
    assert set(DeepSpeedZeroOffloadOptimizerConfig.model_fields) == OFFLOAD_OPTIMIZER


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ({"zero_optimisation": {}}, "Did you mean zero_optimization?"),
        ({"overlap_comm": True}, "DeepSpeed has overlap_comm in zero_optimization. Put it there"),
        ({"zero_optimization": {"overlap_com": 1}}, "Did you mean zero_optimization.overlap_comm?"),
        ({"zero_optimization": {"qqq": 1}}, "has no zero_optimization.qqq. Leave it out"),
        (
            {"zero_optimization": {"offload_param": {"devise": "cpu"}}},
            "Did you mean zero_optimization.offload_param.device?",
        ),
        (
            {"zero_optimization": {"offload_optimizer": {"ratioo": 1}}},
            "Did you mean zero_optimization.offload_optimizer.ratio?",
        ),
    ],
)
def test_keys_that_deepspeed_lacks_are_refused(overrides: dict[str, Any], said: str) -> None:
    value = {"name": "x", "model": {"path": "m"}, "task": {"kind": "text_classification"}}
    with pytest.raises(RecipeError, match=r"zero: overrides: DeepSpeed has") as caught:
        recipe_from(value | {"data": {"train": "a"}, "zero": {"overrides": overrides}})
    assert said in str(caught.value)


def test_keys_that_deepspeed_has_are_taken() -> None:
    zero = {"overlap_comm": True, "stage3_max_live_parameters": 7, "max_live_parameters": 7}
    assert list(unknown_keys({"zero_optimization": zero, "bf16": {"x": 1}})) == []
