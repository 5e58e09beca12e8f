"""Which parameters learn, and how fast; the step itself stands in trainers."""
