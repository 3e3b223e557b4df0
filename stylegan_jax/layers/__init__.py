"""Equations that several papers share."""
