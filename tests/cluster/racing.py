"""Processes that race for one run; started as `python -m tests.cluster.racing STORAGE VERB N`.

Each of N rounds has a name of its own. A process says on stdout which rounds it won, then `end`;
what it won it holds until its stdin is closed.
"""

import sys
import time
from contextlib import ExitStack

from cluster import lock, runs
from configs.errors import LockedError
from configs.schema import Recipe

ROUND_S = 0.25
BEAT_LIMIT_S = 2.0


def recipe(number: int) -> Recipe:
    """Give the recipe of a round."""
    return Recipe.model_validate(
        {
            "name": f"round-{number}",
            "model": {"path": "some/model"},
            "task": {"kind": "text_classification"},
            "data": {"train": "train.csv"},
        }
    )


def main() -> None:
    """Race in every round; a winner holds the run until the others have lost."""
    storage, verb, rounds, job_id = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
    take = runs.create_run if verb == "create" else runs.take_over_run
    begin, held = float(sys.argv[5]), ExitStack()
    for number in range(rounds):
        # All processes begin a round at the same time.
        time.sleep(max(0.0, begin + number * ROUND_S - time.time()))
        try:
            take(storage, recipe(number), job_id, BEAT_LIMIT_S)
        except LockedError as error:
            assert error.exit_code == 9
            continue
        print(number, flush=True)
        folder = runs.run_directory(storage, f"round-{number}")
        held.enter_context(lock.beating(folder, every_s=0.1))
    print("end", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
