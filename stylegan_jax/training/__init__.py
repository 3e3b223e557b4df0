"""Training: from an experiment to a loop of compiled steps."""
