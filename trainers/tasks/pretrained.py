"""Load a pre-trained model with the head of a task, from a folder or the hub.

What is fed to it and how its outputs are judged stands in the task.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any, Literal

from configs.errors import RecipeError
from configs.model_sections import Model
from trainers.quantization import four_bit_loading
from trainers.tasks.embeddings import grow_embeddings
from trainers.tasks.functions import BuildModel, Built, LabelNames
from trainers.tasks.model_class import architecture_of, from_config, model_class
from trainers.tasks.model_config import first_line, load_config, source_of
from trainers.tasks.pooling import refuse_odd_states, set_pooling
from trainers.tasks.tokenizer import load_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

ProblemType = Literal["regression", "single_label_classification", "multi_label_classification"]
DISCARDED = "discarded."


@dataclass(frozen=True)
class Head:
    """What a head tells apart."""

    label_names: tuple[str, ...]
    problem_type: ProblemType = "single_label_classification"
    """As transformers calls it."""
    adapt: "Callable[[PreTrainedConfig], None] | None" = None
    """Changes the config further before the model is built."""
    reads_text: bool = True
    """Whether the model is fed tokens; an image model may have a vocabulary of its own (BEiT)."""


def build_with_head(
    auto_model: str, problem_type: ProblemType = "single_label_classification"
) -> BuildModel:
    """Give the function that loads a model with a head that tells a task's label names apart.

    Nothing of it is new where the head came with the model. It raises what `build_pretrained` does.
    """

    def build_model(
        model: Model, task: Any, label_names: LabelNames, bits: int | None = None
    ) -> Built:
        return build_pretrained(auto_model, model, Head(label_names, problem_type), bits)

    return build_model


def build_pretrained(
    auto_model: str, model: Model, head: Head | None = None, bits: int | None = None
) -> Built:
    """Load weights in fp32 with a class of transformers; also name the head and what of it is new.

    Without `head` the model keeps the one that it has. With 4 `bits` the linear modules of the
    blocks are loaded in them. A model from scratch has random weights, none of them called new.
    Raises RecipeError for a model that cannot be used as asked, or whose
    weights are not whole.

    Collective under an alive HfDeepSpeedConfig for ZeRO-3: every rank calls this.
    """
    _silence()
    config = set_pooling(load_config(model), model)
    loader = model_class(model, auto_model)
    replaced = _replaced_head(loader, config, len(head.label_names)) if head else None
    _adapt_config(config, model, head)
    if model.from_scratch:
        made = partial(from_config, loader, config, attn_implementation=model.attention)
        built = _load(auto_model, model, made)
        return _finished(built, model, head), _head(built, tells=bool(head)), frozenset()
    loaded, report = _load(
        auto_model,
        model,
        lambda: loader.from_pretrained(
            model.path,
            config=config,
            dtype="float32",
            attn_implementation=model.attention,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
            key_mapping=replaced,
            **(four_bit_loading(loader, config) if bits else {}),
            **source_of(model),
        ),
    )
    named = _head_and_new(loaded, report, model.path, tells=bool(head))
    return _finished(loaded, model, head), *named


def _finished(built: Any, model: Model, head: Head | None) -> Any:
    """Give a model room for every token of its tokenizer.

    One whose head reads pooled states will refuse what gives none at its first row.
    """
    if head is None or head.reads_text:
        grow_embeddings(built, load_tokenizer(model))
    if model.pooling != "own":
        refuse_odd_states(built)
    return built


def _load(auto_model: str, model: Model, load: Callable[[], Any]) -> Any:
    """Load a model, and say in one sentence what is wrong with it."""
    from safetensors import SafetensorError

    try:
        return load()
    except UnpicklingError as error:  # a .bin beside no safetensors: torch reads tensors alone
        raise RecipeError(
            f"model.path ({model.path}): its .bin file holds more than tensors, which could run "
            "code. Save the model as safetensors"
        ) from error
    except (SafetensorError, RuntimeError) as error:
        raise RecipeError(
            f"the weights of {model.path} do not fit its config: {first_line(error)}. "
            "Fetch the folder again"
        ) from error
    except (OSError, ValueError, TypeError, ImportError) as error:
        raise RecipeError(
            f"model.path ({model.path}) does not load with this task: {first_line(error)}. "
            f"Choose a model that {model.implementation or auto_model} knows"
        ) from error


def _silence() -> None:
    """Keep transformers' progress bar and load report from between the lines of the run."""
    from transformers.utils import logging

    logging.disable_progress_bar()
    logging.set_verbosity_error()


def _adapt_config(config: "PreTrainedConfig", model: Model, head: Head | None) -> None:
    """Write labels, padding and dropout into the config."""
    if head is not None:
        # Some configs keep a number of their own, which the names do not change (PVT).
        config.num_labels = len(head.label_names)
        config.id2label = dict(enumerate(head.label_names))
        config.label2id = {name: number for number, name in enumerate(head.label_names)}
        config.problem_type = head.problem_type
        if head.adapt is not None:
            head.adapt(config)
        text_config = config.get_text_config()
        if head.reads_text and getattr(text_config, "pad_token_id", None) is None:
            # Models such as GPT-2 take the last token that is not padding as the summary of a row.
            text_config.pad_token_id = load_tokenizer(model).pad_token_id
    if model.dropout is not None and not _set_dropout(config, model.dropout):
        raise RecipeError(
            f"model.dropout is {model.dropout} but {model.path} has no dropout rate. "
            "Leave model.dropout out"
        )


def _set_dropout(config: "PreTrainedConfig", rate: float) -> int:
    """Replace every dropout rate of a config and of the configs in it; say how many there were."""
    from transformers import PreTrainedConfig

    replaced = 0
    for name, value in list(vars(config).items()):
        if isinstance(value, PreTrainedConfig):
            replaced += _set_dropout(value, rate)
        elif _is_dropout_rate(name, value):
            setattr(config, name, rate)
            replaced += 1
    return replaced


def _is_dropout_rate(name: str, value: object) -> bool:
    """Say whether a config value is a rate; classifier_dropout None stands for the hidden one."""
    named = "dropout" in name or name.endswith("pdrop")
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return named and (is_number or (value is None and name == "classifier_dropout"))


def _replaced_head(
    loader: Any, config: "PreTrainedConfig", num_labels: int
) -> dict[str, str] | None:
    """Rename stored head weights of another size under ZeRO-3, so that they count as missing.

    transformers 5.23 ignores mismatched sizes everywhere but there, where rank 0 alone raises.
    """
    import torch
    from transformers.integrations import is_deepspeed_zero3_enabled

    if not is_deepspeed_zero3_enabled():
        return None
    names = config.architectures or ()
    if config.num_labels == num_labels or not any("Classification" in name for name in names):
        return None
    architecture = architecture_of(loader, config)
    if architecture is None:
        return None
    shapes = []
    for count in (config.num_labels, num_labels):
        sized = type(config).from_dict(config.to_dict() | {"id2label": None, "num_labels": count})
        with torch.device("meta"):
            parameters = architecture(sized).named_parameters()
            shapes.append({name: parameter.shape for name, parameter in parameters})
    stored, wanted = shapes
    changed = sorted(name for name, shape in wanted.items() if stored.get(name) != shape)
    return {f"^{name.replace('.', '[.]')}$": DISCARDED + name for name in changed}


def _head_and_new(
    model: "PreTrainedModel", report: dict[str, Any], path: str, *, tells: bool
) -> tuple[frozenset[str], frozenset[str]]:
    """Name the head, and the parameters that the folder does not hold.

    Where something is new, just that is the head; else it is what lies above the pre-trained model.
    """
    base = f"{model.base_model_prefix}."
    missing = set(report["missing_keys"]) | {key for key, *_ in report["mismatched_keys"]}
    head = _head(model, tells=tells)
    # Models saved after masked language modelling have no pooler: it is as new as the classifier.
    lost = sorted(
        name
        for name in missing
        if name not in head and not name.removeprefix(base).startswith("pooler.")
    )
    if lost:
        raise RecipeError(
            f"model.path ({path}) lacks {len(lost)} weights below the head, {lost[0]} first. "
            "Use a folder with the whole model"
        )
    new = frozenset(name for name, _ in model.named_parameters() if name in missing)
    return new or head, new


def _head(model: "PreTrainedModel", *, tells: bool) -> frozenset[str]:
    """Name the parameters above the pre-trained model, or those of the output embeddings.

    The latter where the model has no part that is pre-trained alone (T5). Output embeddings that
    are tied to those of the input are no head: whoever lets them learn changes what the first block
    reads. A model that tells labels and names no such part either, as a tower taken out of CLIP,
    has its largest module below and all behind that above.
    """
    base = f"{model.base_model_prefix}."
    names = [name for name, _ in model.named_parameters()]
    above = frozenset(name for name in names if not name.startswith(base))
    if len(above) < len(names):
        return above
    outputs = model.get_output_embeddings()
    if outputs is None:
        return _behind_the_largest(model) if tells else frozenset()
    own = {id(parameter) for parameter in outputs.parameters()}
    own -= {id(parameter) for parameter in model.get_input_embeddings().parameters()}
    return frozenset(name for name, p in model.named_parameters() if id(p) in own)


def _behind_the_largest(model: "PreTrainedModel") -> frozenset[str]:
    """Name the parameters of the modules that follow the one with most parameters."""
    sizes = {
        name: sum(getattr(p, "ds_numel", p.numel()) for p in module.parameters())
        for name, module in model.named_children()
    }
    modules = list(sizes)
    behind = modules[modules.index(max(sizes, key=lambda name: sizes[name])) + 1 :]
    return frozenset(
        name for name, _ in model.named_parameters() if name.partition(".")[0] in behind
    )
