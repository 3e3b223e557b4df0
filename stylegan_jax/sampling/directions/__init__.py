"""Directions of edits: finding, storing, applying and drawing them."""
