"""What reading ten million prepared rows costs a worker: opening, memory, resuming."""

import argparse
import tempfile
import time
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from benchmarks.made_rows import make_collate, make_set
from configs.balance_sections import Balance
from trainers.data.batches import read_steps
from trainers.data.class_balance import ClassRates, plan_rates
from trainers.data.epoch_plan import EpochPlan
from trainers.data.lanes import LanePlan
from trainers.data.store import Manifest, load_manifest, open_split

LANES = 2
MICROBATCH_SIZE = 32
TOKENS_PER_ROW = 8
KIB = 1024


@dataclass(frozen=True)
class Cost:
    """What one way to begin cost."""

    opened_s: float
    """Seconds from nothing to an open split."""
    first_s: float
    """Seconds from there to the first step, shards checked by their hashes."""
    bytes_per_row: float
    """Most memory above that before opening, maps of files not counted."""


def anonymous_bytes() -> int:
    """Give this process's memory without maps of files."""
    lines = Path("/proc/self/status").read_text().splitlines()
    line = next(line for line in lines if line.startswith("RssAnon"))
    return int(line.split()[1]) * KIB


def cost_of(folder: Path, rates: ClassRates | None, start_share: float, steps: int) -> Cost:
    """Open the set as the one worker of a run does, and read some steps from there on."""
    before = anonymous_bytes()
    started = time.perf_counter()
    manifest = load_manifest(str(folder))
    split = open_split(str(folder), manifest, "train")
    opened = time.perf_counter()
    rows = split.info.rows if rates is None else rates.num_rows
    lanes = LanePlan(rows, LANES, MICROBATCH_SIZE, seed=0, shuffle=True)
    plan = EpochPlan(lanes, rates)
    collate = make_collate(manifest)
    most = 0
    start_step = int(start_share * lanes.steps_per_epoch)
    opened_lanes = plan.open(split, 0, 1, 0)
    with read_steps(opened_lanes, lanes, collate, epoch=0, start_step=start_step) as stream:
        next(stream)
        first = time.perf_counter()
        for number, _ in enumerate(islice(stream, steps)):
            if number % 64 == 0:
                most = max(most, anonymous_bytes())
    return Cost(opened - started, first - opened, (most - before) / split.info.rows)


def oversampling(manifest: Manifest) -> ClassRates | None:
    """Show rows of the last class twice as often as the others."""
    target = dict.fromkeys(manifest.label_names, 1.0) | {manifest.label_names[-1]: 2.0}
    balance = Balance(method="oversample", target=target)
    counts = manifest.splits["train"].class_counts
    return plan_rates(balance, manifest.label_names, counts, LANES)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--steps", type=int, default=5_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="thaw-data-scale-") as name:
        folder = Path(name) / "set"
        manifest = make_set(folder, arguments.rows, fixed_length=TOKENS_PER_ROW)
        # Warm what is imported at first use: it is no memory of the rows.
        cost_of(folder, None, 0.0, 1)
        cases = {
            "from the start": (None, 0.0),
            "resumed half-way": (None, 0.5),
            "resumed near the end": (None, 0.9),
            "oversampled": (oversampling(manifest), 0.5),
        }
        print(f"{arguments.rows:,} rows{'open':>18}{'first step':>14}{'memory':>16}")
        for case, (rates, share) in cases.items():
            cost = cost_of(folder, rates, share, arguments.steps)
            print(
                f"{case:<22}{cost.opened_s:>8.3f} s{cost.first_s:>12.3f} s"
                f"{cost.bytes_per_row:>10.2f} B/row"
            )


if __name__ == "__main__":
    main()
