"""Where processes run: jobs, attempts, workers, run directories; alone in knowing Ray."""
