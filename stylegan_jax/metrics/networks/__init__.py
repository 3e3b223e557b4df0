"""The networks whose features metrics compare: weights found, read, and run."""
