"""Directions of edits: find, store, apply and draw them."""
