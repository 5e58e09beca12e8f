"""Which numbers stand far from the others; reported, never dropped: a person decides."""

import numpy as np

Numbers = np.ndarray[tuple[int], np.dtype[np.float64]]

LIMIT = 3.5
MAD_TO_DEVIATION = 1.4826
MEAN_TO_DEVIATION = 1.2533


def find_outliers(
    values: Numbers, limit: float = LIMIT
) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Give the places of values whose robust z-score is above the limit, the farthest first.

    The distance from the median over 1.4826 times the median distance (Iglewicz and Hoaglin, "How
    to detect and handle outliers", 1993); where more than half of the values are the same, over
    1.2533 times the mean distance. Values that are not finite count as the farthest.
    """
    finite = np.isfinite(values)
    scores = np.full(len(values), np.inf)
    known = values[finite]
    if len(known):
        distances = np.abs(known - np.median(known))
        spread = MAD_TO_DEVIATION * float(np.median(distances))
        spread = spread or MEAN_TO_DEVIATION * float(distances.mean())
        scores[finite] = distances / spread if spread else 0.0
    found = np.flatnonzero(scores > limit)
    return found[np.argsort(-scores[found], kind="stable")]
