"""Report of a run on a single page: curves, stages, images and metrics."""
