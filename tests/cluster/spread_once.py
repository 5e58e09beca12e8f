"""Prepare a recipe on all nodes, as the driver of a job; the recipe is the only argument."""

import sys

from cluster import machines
from cluster.spread import prepare_spread
from configs.schema import Recipe

if __name__ == "__main__":
    machines.join_cluster()
    prepared = prepare_spread(Recipe.model_validate_json(sys.argv[1]))
    print(f"prepared {prepared.data_dir} {prepared.cached}", flush=True)
