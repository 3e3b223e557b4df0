"""Trained networks for use: opened from anywhere, called with seeds, saved as files."""
