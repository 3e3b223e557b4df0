"""Checks of settings; None, for a default, is always within bounds."""

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


def check_noise(settings: Any) -> None:
    """Raise ValueError unless the noise is const or none."""
    if settings.noise not in ("const", "none"):
        raise ValueError(f"noise (={settings.noise!r}) must be const or none")
