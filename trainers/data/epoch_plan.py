"""What an epoch of training holds, from recipe and manifest; reading it stands elsewhere."""

from dataclasses import dataclass

from configs.schema import Recipe
from trainers.data.class_balance import ClassRates, plan_rates
from trainers.data.lane_rows import LaneRows, OpenRecording, open_lanes
from trainers.data.lanes import LanePlan
from trainers.data.store import Manifest, Split
from trainers.data.token_budget import plan_tokens


@dataclass(frozen=True)
class EpochPlan:
    """Lanes of the training split, and how often its rows come up."""

    lanes: LanePlan
    rates: ClassRates | None
    """None where each row comes up once."""

    def open(
        self,
        split: Split,
        rank: int,
        world_size: int,
        epoch: int,
        recording: OpenRecording | None = None,
    ) -> list[LaneRows]:
        """Open a rank's lanes of one epoch."""
        draw = None if self.rates is None else (self.rates, epoch)
        return open_lanes(split, self.lanes, rank, world_size, draw, recording=recording)


def plan_epochs(recipe: Recipe, manifest: Manifest) -> EpochPlan:
    """Plan the epochs of a run; raises RecipeError for a balance that does not name the labels."""
    batch, info = recipe.batch, manifest.splits["train"]
    rates = plan_rates(recipe.balance, manifest.label_names, info.class_counts, batch.lanes)
    rows = info.rows if rates is None else rates.num_rows
    budget = None
    if batch.microbatch_tokens is not None:
        lane_rows = -(-rows // batch.lanes)
        budget = plan_tokens(
            info.lengths, batch.microbatch_tokens, recipe.pad_to_multiple_of, lane_rows
        )
    size = batch.microbatch_size
    return EpochPlan(LanePlan(rows, batch.lanes, size, recipe.seed, True, budget), rates)


def planned_steps(recipe: Recipe, epochs: EpochPlan) -> int:
    """Return the optimizer steps of a whole run, which early stopping may cut."""
    total = recipe.epochs * epochs.lanes.steps_per_epoch
    return total if recipe.max_steps is None else min(total, recipe.max_steps)
