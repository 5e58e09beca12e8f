"""What it costs to compare the weights of all ranks: a check, a step, and the share of a run.

Checks and optimizer steps take turns on one live model of two ranks, which hold all its weights.
"""

import argparse
import tempfile
from functools import partial
from statistics import median

import torch.distributed as dist
import torch.multiprocessing as mp

from benchmarks.checkpoint_stall import SIZES, Case, cases, open_session, take_step, timed
from configs.fault_sections import Faults


def measure_rank(rank: int, case: Case, data_dir: str) -> None:
    """Take all turns on one rank. Collective: every rank calls this."""
    from trainers.checksums import compare_ranks, replicated

    session = open_session(rank, case, data_dir)
    check = partial(compare_ranks, session.engine, 0)
    steps, checks = [], []
    for _ in range(case.runs + 1):
        steps.append(timed(partial(take_step, session)))
        checks.append(timed(check))
    if rank == 0:
        size = sum(tensor.nbytes for _, tensor in replicated(session.engine)) / 2**20
        tell(case, size, median(steps[1:]), median(checks[1:]))
    session.close()
    dist.destroy_process_group()


def tell(case: Case, size: float, step: float, check: float) -> None:
    """Print a line of the table."""
    every = Faults().checksum_every_steps or 0
    print(
        f"{case.size:<11}{case.stage:>6}{size:>8.0f}{step * 1e3:>10.1f}{check * 1e3:>10.1f}"
        f"{check / (every * step):>10.4%}",
        flush=True,
    )


def main() -> None:
    """Prepare the rows and print the table."""
    from trainers.data.preparation import prepare

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10, help="counted turns")
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--stages", nargs="+", type=int, default=[0, 2], help="ZeRO stages")
    options = parser.parse_args()
    options.ranks = [2]
    print(f"{'model':<11}{'ZeRO':>6}{'MiB':>8}{'step ms':>10}{'check ms':>10}{'share':>10}")
    with tempfile.TemporaryDirectory(prefix="thaw-drift-") as folder:
        for case in cases(options, folder):
            prepared = prepare(case.recipe(), f"{case.folder}/runs")
            mp.spawn(measure_rank, args=(case, prepared.data_dir), nprocs=case.num_ranks)


if __name__ == "__main__":
    main()
