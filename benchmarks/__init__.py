"""Measurements of speed; each module is a program, see its first lines."""
