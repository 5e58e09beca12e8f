"""What one rank computes: data, model, step, checkpoint; where processes run is unknown here."""
