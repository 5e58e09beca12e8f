"""Load the tokenizer of a pre-trained model; what it is fed stands in the tasks."""

from typing import TYPE_CHECKING, Any

from configs.errors import RecipeError
from configs.model_sections import Model
from trainers.tasks.model_config import first_line, load_config, max_positions, source_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def load_tokenizer(
    model: Model, *, local_only: bool = False, split_words: bool = False
) -> "PreTrainedTokenizerBase":
    """Load the model's tokenizer, with a padding token and the length that it and the model take.

    With `local_only` the hub is not asked: what is neither a folder nor in its cache is missing.
    With `split_words` it will be handed words, not texts. Raises RecipeError when there is no model
    or no tokenizer.
    """
    from transformers import AutoTokenizer

    config = load_config(model, local_only=local_only)
    source = source_of(model) | {"local_files_only": local_only}
    try:
        tokenizer = AutoTokenizer.from_pretrained(model.path, **source)
        if split_words and _is_byte_level(tokenizer):
            # Else it reads each word as if there were no space before it.
            tokenizer = AutoTokenizer.from_pretrained(model.path, add_prefix_space=True, **source)
    except (OSError, ValueError, KeyError, TypeError, ImportError) as error:
        raise RecipeError(
            f"model.path ({model.path}) has no tokenizer that can be loaded: {first_line(error)}. "
            "Save the tokenizer beside the weights"
        ) from error
    if not len(tokenizer) - len(tokenizer.all_special_ids):
        raise RecipeError(
            f"model.path ({model.path}) has no tokenizer: its vocabulary is empty. "
            "Save the tokenizer beside the weights"
        )
    if tokenizer.pad_token_id is None:
        if tokenizer.eos_token_id is None:
            raise RecipeError(
                f"the tokenizer of {model.path} has neither a padding nor an end token. Give it one"
            )
        tokenizer.pad_token = tokenizer.eos_token
    tokenizer.model_max_length = min(tokenizer.model_max_length, max_positions(config))
    return tokenizer


def _is_byte_level(tokenizer: Any) -> bool:
    """Say whether a space is a part of the word behind it, as for RoBERTa."""
    if not tokenizer.is_fast:
        return False
    return "ByteLevel" in repr(tokenizer.backend_tokenizer.pre_tokenizer)
