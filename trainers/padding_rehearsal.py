"""Find out on real rows whether a model answers a row alone as it does beside longer ones.

If not, its rows are fed with those of their own length: padding is then nothing that it sees. Other
rehearsals stand in rehearsal.py and packing_rehearsal.py.
"""

from typing import TYPE_CHECKING

import numpy as np
import torch

from configs.errors import RecipeError
from trainers.agreement import all_agree
from trainers.data.batches import fed_width
from trainers.prefix_probe import LOOKED_AT, evaluating, unlike
from trainers.rehearsal import feed_rows, only_row
from trainers.tasks.equal_lengths import FED, feed_equal_lengths

if TYPE_CHECKING:
    from trainers.session import Session

TRIED = 3
TOLERANCE = {"fp32": 1e-3, "bf16": 0.1, "fp16": 0.1}
"""Of the largest number that a row is answered with: what rounding may move it by."""


def settle_padding(session: "Session") -> None:
    """Feed rows of one length at a time where padding would change what the model says.

    What was found once holds for the run. Raises RecipeError for a model whose answers depend on
    more than their row. Collective: every rank calls this, with an engine over the whole model.
    """
    found = session.cursor.equal_lengths
    if found is None:
        found = _decide(session)
        session.advance(equal_lengths=found)
    if found:
        feed_equal_lengths(session.model)


def _decide(session: "Session") -> bool | None:
    """Say whether rows must not be padded; None where all that were tried are of one length."""
    rows = _unlike_rows(session)
    if not rows:
        return None
    moved = _moved(session, rows)
    if moved == 0.0:
        return False
    path, precision = session.recipe.model.path, session.recipe.precision
    inputs, _ = session.collate()(session.open_split("train").read(np.array(rows)))
    told = f"model.path ({path}) answers a row otherwise when it is padded"
    if not inputs.keys() <= FED:
        raise RecipeError(
            f"{told}, and this task cannot feed rows of one length alone. Choose another model, or "
            "set batch.microbatch_size and batch.eval_microbatch_size to 1"
        )
    if session.engine.stage == 3 and session.place.world_size > 1:
        raise RecipeError(
            f"{told}. Rows are then fed by their length, as often as there are lengths, which "
            "zero.stage 3 cannot do on several workers. Use stage 2"
        )
    feed_equal_lengths(session.model)
    if precision == "fp32" and _moved(session, rows):
        raise RecipeError(
            f"{told}, and so it does beside rows of its own length: its answer depends on more "
            "than the row. Choose another model"
        )
    session.note(
        f"this model answers a row otherwise when it is padded, by up to {100 * moved:.2g} %: rows "
        "are fed with those of their own length alone, as `thaw predict` does. Whoever else feeds "
        "the export has to"
    )
    return True


def _unlike_rows(session: "Session") -> list[int]:
    """Choose a short, a middling and a long row; none where a row has no length of its own."""
    split = session.open_split("train")
    batch = session.recipe.batch
    if session.task.pixels is not None or batch.microbatch_size == batch.eval_microbatch_size == 1:
        return []
    lengths = split.lengths(0, min(LOOKED_AT, split.info.rows))
    chosen = sorted({*unlike(lengths, TRIED)})
    return chosen if len({*lengths[chosen].tolist()}) > 1 else []


def _moved(session: "Session", rows: list[int]) -> float:
    """Say by which part the answers of rows move in a batch; 0.0 where by no more than rounding."""
    with evaluating(session):
        together = _answers(session, rows)
        alone = [_answers(session, [row])[0] for row in rows]
    parts = [
        float((one - other).abs().max() / one.abs().max().clamp(min=1e-12))
        for one, other in zip(alone, together, strict=True)
    ]
    moved = max(parts)
    same = all_agree(moved <= TOLERANCE[session.recipe.precision])
    return 0.0 if same else max(moved, TOLERANCE[session.recipe.precision])


def _answers(session: "Session", rows: list[int]) -> list[torch.Tensor]:
    """Give what the model says of each row, without what it says of padding."""
    fed = feed_rows(session, "train", rows)
    if "vectors" in fed.outputs:
        vectors = fed.outputs["vectors"].float()
        return list(vectors.view(-1, len(rows), vectors.shape[-1]).unbind(1))
    found = session.task.output_of(fed.outputs).float()
    if found.dim() == 2:
        return list(found)
    mask = fed.inputs["attention_mask"].to(found.device)
    if found.shape[1] == fed_width(fed.inputs) and fed.inputs.keys() <= FED:
        return [row[: int(count)] for row, count in zip(found, mask.sum(1), strict=True)]
    loss = session.task.summed_loss
    return [loss(fed.outputs, only_row(fed.labels, row)).reshape(1) for row in range(len(rows))]
