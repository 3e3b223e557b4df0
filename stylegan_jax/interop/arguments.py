"""Checked access to the keyword arguments of an official constructor."""

import sys
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from stylegan_jax.runtime.messages import listed

_REQUIRED = object()
FLAG = (True, False)


class Arguments:
    """Official keyword arguments; each is read once, and none may be left over."""

    def __init__(
        self, kwargs: Mapping[str, Any], owner: str, ignored: Collection[str] = ()
    ):
        """Wrap the arguments.

        Args:
          kwargs: Arguments of the official constructor.
          owner: The network that they belong to, for messages.
          ignored: Names that are allowed and do not affect our network.
        """
        self._left = {k: v for k, v in kwargs.items() if k not in ignored}
        self._owner = owner
        self._known = set(ignored)

    def take(
        self,
        name: str,
        default: Any = _REQUIRED,
        supported: Collection[Any] | None = None,
    ) -> Any:
        """Return the value of an argument, or the official default.

        Raises:
          ValueError: The value is not among those `supported`, or is omitted although
            there is no default.
        """
        self._known.add(name)
        value = self._left.pop(name, default)
        if value is _REQUIRED:
            raise ValueError(
                f"{self._owner}: {name} is missing; it has no official default"
            )
        # Arrays have no truth value, and lists cannot be hashed.
        known = supported is None or (np.isscalar(value) and value in supported)
        if not known:
            raise ValueError(
                f"{self._owner}: {name}={value!r} is not supported; supported values "
                f"are {list(supported)}"
            )
        return value

    def flag(self, name: str, default: bool) -> bool:
        """Return an argument that is True or False."""
        return self.take(name, default, FLAG)

    def count(
        self, name: str, default: Any = _REQUIRED, optional: bool = False
    ) -> int | None:
        """Return a size: any type of integer, or None if `optional`."""
        value = self._number(name, default, optional, "a whole number", whole=True)
        return None if value is None else int(value)

    def number(
        self, name: str, default: Any = _REQUIRED, optional: bool = False
    ) -> float | None:
        """Return a number that is not negative, or None if `optional`."""
        value = self._number(name, default, optional, "a number from 0 up")
        return None if value is None else float(value)

    def _number(
        self, name: str, default: Any, optional: bool, expected: str, whole=False
    ) -> Any:
        value = self.take(name, default)
        if value is None and optional:
            return None
        if not is_number(value) or value < 0 or (whole and int(value) != value):
            raise ValueError(
                f"{self._owner}: {name}={value!r} must be {expected}"
                + " or None" * optional
            )
        return value

    def nested(self, name: str, ignored: Collection[str] = ()) -> "Arguments":
        """Return the arguments in a nested dict, empty by default.

        Args:
          name: Name of the dict.
          ignored: Names in the dict; see `Arguments`.

        Raises:
          ValueError: The value is not a dict.
        """
        value = self.take(name, {})
        if not isinstance(value, Mapping):
            raise ValueError(f"{self._owner}: {name}={value!r} must be a dict")
        return Arguments(value, f"{self._owner}, {name}", ignored)

    def done(self) -> None:
        """Raise ValueError with the arguments that were not taken, if there are any."""
        if self._left:
            raise ValueError(
                f"{self._owner}: unknown or unsupported argument(s) "
                f"{listed(map(repr, sorted(self._left)))}; the known ones are "
                f"{listed(sorted(self._known))}"
            )


def is_number(value: Any) -> bool:
    """Return True for a finite Python or NumPy number."""
    return (
        isinstance(value, (int, float, np.integer, np.floating))
        and not isinstance(value, bool)
        and abs(value) <= sys.float_info.max
    )
