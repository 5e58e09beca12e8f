"""What may be asked for: the recipe, its checks, the errors and the records; no torch, no ray."""
