"""A head on the pooled last hidden states of an encoder; exports hold this file as it stands here.

It imports torch and transformers alone, so that whoever has an export needs nothing else:
`AutoModelForSequenceClassification.from_pretrained(folder, trust_remote_code=True)`.
"""

import inspect
from functools import cache
from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, AutoModel, PreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutput

POOLING = "thaw_pooling"
"""Key of the config with how the hidden states become one vector: mean or cls."""
RATES = ("classifier_dropout", "seq_classif_dropout", "hidden_dropout_prob", "dropout")
"""Keys of a config with the dropout rate before a head; the first that is there counts."""


class PooledClassifier:
    """Loads as a class of transformers does; which class a model has follows from its config."""

    def __new__(cls, config: Any) -> Any:
        """Build a model with random weights."""
        return class_of(config)(config)

    @classmethod
    def from_pretrained(cls, path: Any, *arguments: Any, config: Any = None, **named: Any) -> Any:
        """Load an export, or with `thaw_pooling="mean"` (or cls) an encoder under a new head."""
        pooling = named.pop(POOLING, None)
        if config is None:
            config, named = AutoConfig.from_pretrained(path, return_unused_kwargs=True, **named)
        if pooling is not None:
            setattr(config, POOLING, pooling)
        return class_of(config).from_pretrained(path, *arguments, config=config, **named)

    @classmethod
    def from_config(cls, config: Any, **named: Any) -> Any:
        """Build a model with random weights."""
        return class_of(config)._from_config(config, **named)

    _from_config = from_config

    @classmethod
    def register_for_auto_class(cls, auto_class: Any = None) -> None:
        """Do nothing: transformers calls this of what it loads from a folder."""


def class_of(config: Any) -> Any:
    """Return the class of the model of a config; raises ValueError where there can be none."""
    if getattr(config, POOLING, None) not in ("mean", "cls"):
        raise ValueError(f"the config has no {POOLING} of mean or cls")
    return _class_over(encoder_of(config))


def encoder_of(config: Any) -> Any:
    """Return the class that gives the hidden states; raises ValueError for what gives none."""
    if type(config) not in AutoModel._model_mapping:
        raise ValueError(f"transformers has no AutoModel of a {config.model_type}")
    found: Any = AutoModel._model_mapping[type(config)]
    encoder: Any = found[0] if isinstance(found, tuple) else found
    if getattr(config, "is_encoder_decoder", False):
        raise ValueError(f"{encoder.__name__} has a decoder, whose states are not those of a text")
    if not {"input_ids", "attention_mask"} <= inspect.signature(encoder.forward).parameters.keys():
        raise ValueError(f"{encoder.__name__} takes no input_ids with an attention_mask")
    return encoder


def pool(states: torch.Tensor, mask: torch.Tensor, pooling: str) -> torch.Tensor:
    """Make one vector a text of its states (texts, tokens, width), where the mask is 1.

    The mean is added up in fp32, as sentence-transformers does; cls takes the first such token.
    """
    if pooling == "cls":
        return states[torch.arange(len(states), device=states.device), mask.int().argmax(1)]
    kept = mask.to(states.device).float()[:, :, None]
    means = (states.float() * kept).sum(1) / kept.sum(1).clamp(min=1e-9)
    return means.to(states.dtype)


@cache
def _class_over(encoder: Any) -> Any:
    """Derive from the family of an encoder, so that its folders load with their names."""
    family: Any = next(c for c in encoder.__mro__[1:] if issubclass(c, PreTrainedModel))
    # The pooler of BERT and its like would be of no use.
    has_pooler = "add_pooling_layer" in inspect.signature(encoder.__init__).parameters
    options = {"add_pooling_layer": False} if has_pooler else {}

    def build(self: Any, config: Any) -> None:
        family.__init__(self, config)
        rates = [getattr(config, name, None) for name in RATES]
        self.num_labels = config.num_labels
        setattr(self, self.base_model_prefix, encoder(config, **options))
        self.dropout = nn.Dropout(next((rate for rate in rates if rate is not None), 0.0))
        self.pooled_classifier = nn.Linear(config.hidden_size, config.num_labels)
        self.post_init()

    name = f"Pooled{encoder.__name__.removesuffix('Model')}ForSequenceClassification"
    made = {"__init__": build, "forward": _forward, "__module__": __name__}
    return type(name, (family,), made)


def _forward(
    self: Any, input_ids: Any = None, attention_mask: Any = None, **named: Any
) -> SequenceClassifierOutput:
    """Give the logits, (texts, labels)."""
    outputs = self.base_model(input_ids=input_ids, attention_mask=attention_mask, **named)
    states = outputs.last_hidden_state
    if attention_mask is None:
        attention_mask = states.new_ones(states.shape[:2])
    vectors = pool(states, attention_mask, getattr(self.config, POOLING))
    return SequenceClassifierOutput(logits=self.pooled_classifier(self.dropout(vectors)))
