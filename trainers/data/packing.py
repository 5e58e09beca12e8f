"""Several rows as one sequence without padding; which rows are fed together stands elsewhere.

Position ids restart with every row and there is no attention mask: from that, transformers (5.x)
keeps attention inside each row, by variable-length kernels with flash attention on GPUs, and by a
mask elsewhere. Such a mask makes a sequence of n tokens cost n^2, so on CPUs microbatches of like
lengths with little padding are faster than packed ones.
"""

import numpy as np
import pyarrow as pa
import torch


def pack_rows(rows: pa.Table, column: str = "input_ids") -> dict[str, torch.Tensor]:
    """Lay the rows' tokens one behind the other.

    Gives input_ids and position_ids, both (1, tokens) int64. The targets of a row must leave out
    its first token: nothing before it belongs to the row.
    """
    tokens = rows[column].combine_chunks()
    lengths = np.diff(tokens.offsets.to_numpy())
    ids = tokens.flatten().to_numpy(zero_copy_only=False).astype(np.int64)
    starts = np.repeat(np.cumsum(lengths) - lengths, lengths)
    return {
        "input_ids": torch.from_numpy(ids)[None],
        "position_ids": torch.from_numpy(np.arange(len(ids)) - starts)[None],
    }


def pack_targets(rows: pa.Table, column: str, ignored: int) -> torch.Tensor:
    """Lay the rows' targets (one a token) as their tokens lie, the first of each row left out.

    Gives (1, tokens) int64. A causal model's loss shifts targets by one: without this the last
    token of a row would be asked for the first of the next.
    """
    targets = rows[column].combine_chunks()
    values = targets.flatten().to_numpy(zero_copy_only=False).astype(np.int64)
    lengths = np.diff(targets.offsets.to_numpy())
    starts = (np.cumsum(lengths) - lengths)[lengths > 0]
    values = values.copy()
    values[starts] = ignored
    return torch.from_numpy(values)[None]
