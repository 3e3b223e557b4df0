"""Checks of the bounds of settings; None, for a default, is always allowed."""

from typing import Any


def check_at_least_one(settings: Any, *names: str) -> None:
    """Raise ValueError for a field that is below 1."""
    for name in names:
        value = getattr(settings, name)
        if value is not None and value < 1:
            raise ValueError(f"{name} (={value}) must be at least 1")


def check_not_negative(settings: Any, *names: str) -> None:
    """Raise ValueError for a field that is negative or NaN."""
    for name in names:
        value = getattr(settings, name)
        if value is not None and not value >= 0:
            raise ValueError(f"{name} (={value}) must not be negative")
