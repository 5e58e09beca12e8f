"""Let a model write text, for every task that asks for it; judging it is left to the tasks.

Methods are those of transformers' `generate`, greedy or with beams, so that the exported folder,
whose generation config they are saved in, writes the same text.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from configs.task_fields import Generation
from configs.task_sections import Task, generation_of
from trainers.tasks.model_config import max_positions
from trainers.tasks.remarks import remark

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import GenerationConfig, PreTrainedModel

    from trainers.data.recordings import Rows
    from trainers.tasks.judging import Fed, Setting

OF_SAMPLING = (
    "temperature",
    "top_k",
    "top_p",
    "min_p",
    "top_h",
    "typical_p",
    "epsilon_cutoff",
    "eta_cutoff",
)
"""Settings that a folder may hold for drawing at random; what is written here never is."""


NEW_TOKENS = 64
"""Most tokens that are written where a recipe does not say it."""
START = "decoder_start_token_id"


@dataclass(frozen=True)
class Writer:
    """A model that writes text for the rows of a microbatch."""

    model: Any
    asked: Generation
    processor: Callable[[], Any]
    together: bool = False
    """Whether every forward pass is a collective, as under ZeRO-3 with several ranks."""

    def __call__(self, inputs: "dict[str, Tensor]") -> "Tensor":
        """Write for rows of padded model inputs, each (rows, tokens); gives (rows, new tokens).

        Padding fills up what ended early. A model without an encoder goes on from its inputs, which
        are not given again; their padding may stand at either end. Collective where `together`,
        when all ranks must have rows.
        """
        import torch

        given = {name: tensor.to(self.model.device) for name, tensor in inputs.items()}
        has_encoder = self.model.config.is_encoder_decoder
        if not has_encoder:
            given = _padded_left(given)
        with torch.no_grad():
            ids = self.model.generate(
                **given,
                generation_config=generation_config(self.model, self.asked, self.processor()),
                synced_gpus=self.together,
            )
        # An encoder's decoder begins with its start token.
        written: Tensor = ids[:, 1 if has_encoder else given["input_ids"].shape[1] :]
        return written


def build_writer(
    model: Any, task: Task, processor: Callable[[], Any], *, together: bool = False
) -> Writer | None:
    """Give what writes text with a live model; None for a task that writes none."""
    asked = generation_of(task)
    return Writer(model, asked, processor, together) if asked is not None else None


def generation_config(
    model: "PreTrainedModel", asked: Generation, processor: Any
) -> "GenerationConfig":
    """Give the settings of a model with what a recipe asks for laid over them."""
    config = copy.deepcopy(model.generation_config)
    assert config is not None, "a task that writes text has a model that can"
    for name in OF_SAMPLING:
        setattr(config, name, None)
    config.do_sample = False
    config.max_length = None
    config.max_new_tokens = most_new_tokens(model, asked)
    config.num_beams = asked.num_beams
    config.length_penalty = asked.length_penalty if asked.num_beams > 1 else None
    config.early_stopping = config.early_stopping if asked.num_beams > 1 else None
    if config.eos_token_id is None:
        config.eos_token_id = end_of(model, processor)
    if model.config.is_encoder_decoder and config.decoder_start_token_id is None:
        # One of two models has no generation config that would name it.
        config.decoder_start_token_id = start_of_decoder(model.config)
    if config.pad_token_id is None:
        config.pad_token_id = processor.pad_token_id
    return config


def most_new_tokens(model: "PreTrainedModel", asked: Generation) -> int:
    """Return how many tokens a model writes at most.

    Where nothing is asked for, a model with few positions writes fewer than usual: with an encoder
    as many as its decoder has, without one half of them, since the prompt needs some.
    """
    if asked.max_new_tokens is not None:
        return asked.max_new_tokens
    most = max_positions(model.config)
    if model.config.is_encoder_decoder:
        return min(NEW_TOKENS, most)
    return NEW_TOKENS if most > NEW_TOKENS else max(1, most // 2)


def tell_of_writing(model: "PreTrainedModel", asked: Generation, end: Any) -> None:
    """Keep with a model what a person should know of how it will write."""
    new = most_new_tokens(model, asked)
    if asked.max_new_tokens is None and new < NEW_TOKENS:
        remark(
            model,
            f"the model has {max_positions(model.config)} positions, so it writes at most {new} "
            f"tokens in evaluation and prediction, not {NEW_TOKENS}",
        )
    if end is None:
        remark(
            model,
            "neither model nor tokenizer names an end token: rows end without one, and what the "
            f"model writes ends after {new} tokens",
        )


def start_of_decoder(config: Any) -> int | None:
    """Return the token that a decoder begins with, as a model's config names it; None for none."""
    found = (getattr(config, name, None) for name in (START, "bos_token_id"))
    return next((token for token in found if isinstance(token, int)), None)


def end_of(model: "PreTrainedModel", processor: Any) -> Any:
    """Return the token, or tokens, that end what a model writes where its folder names none.

    A decoder whose tokenizer has no end token learns the one that stands behind each text (BERT).
    """
    ends = [getattr(model.config, "eos_token_id", None), processor.eos_token_id]
    if model.config.is_encoder_decoder:
        ends.append(processor.sep_token_id)
    return next((end for end in ends if end is not None), None)


def written_texts(setting: "Setting", fed: "Fed", inputs: "dict[str, Tensor]") -> dict[int, str]:
    """Write text for those rows of a microbatch that it is asked for; gives it by row.

    `inputs` holds what the model goes on from, a row for each of the microbatch's. Collective under
    ZeRO-3: every rank calls this for each of its microbatches.
    """
    import torch

    from trainers.agreement import reduced

    if setting.generate is None or fed.written is None:
        return {}
    rows = fed.written.nonzero().flatten()
    count = len(rows)
    anywhere = int(reduced([count]).item()) if setting.generate.together else count
    if not anywhere:
        return {}
    # Whoever has no row takes part in the forward passes of the others with one that is not kept.
    taken = rows if count else torch.zeros(1, dtype=torch.int64)
    ids = setting.generate({name: tensor[taken] for name, tensor in inputs.items()})
    texts = setting.processor().batch_decode(ids, skip_special_tokens=True)[:count]
    return dict(zip(rows.tolist(), map(str.strip, texts), strict=True))


def rows_to_write(task: Task, numbers: "Rows", num_rows: int) -> "Tensor | None":
    """Say for which of a split's rows, by number, evaluation writes text: (rows,) of bool.

    They are spaced evenly over the split, whoever feeds them. None where it writes none.
    """
    import torch

    asked = generation_of(task)
    if asked is None or asked.evaluation_rows == 0:
        return None
    most = num_rows if asked.evaluation_rows is None else min(asked.evaluation_rows, num_rows)
    return torch.from_numpy(numbers * most % num_rows < most)


def _padded_left(inputs: "dict[str, Tensor]") -> "dict[str, Tensor]":
    """Move the padding of each row to its left end, where it does not part text from text."""
    order = inputs["attention_mask"].argsort(dim=1, stable=True)
    return {name: tensor.gather(1, order) for name, tensor in inputs.items()}
