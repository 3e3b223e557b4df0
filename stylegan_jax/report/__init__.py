"""The page that shows a run: curves, stages and images."""
