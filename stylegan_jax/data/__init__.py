"""Image sources and the input pipeline."""
