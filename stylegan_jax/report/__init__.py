"""Report of a run as a single page: curves, stages, images and metrics."""
