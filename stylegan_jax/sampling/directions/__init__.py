"""Directions of edits: how they are found, kept in files, applied and drawn."""
