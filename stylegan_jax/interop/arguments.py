"""Reads the keyword arguments of an official constructor, leaving none unread."""

import sys
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

_REQUIRED = object()


class Arguments:
    """Official keyword arguments; each is taken once, and none may be left."""

    def __init__(
        self, kwargs: Mapping[str, Any], owner: str, ignored: Collection[str] = ()
    ):
        """Wraps the arguments.

        Args:
          kwargs: what the official constructor was given.
          owner: whose arguments these are, for messages.
          ignored: names that are allowed and have no bearing on our network.
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
        """The value of an argument, or the official default.

        Raises:
          ValueError: the value is not among those `supported`, or left out although
            there is no default.
        """
        self._known.add(name)
        value = self._left.pop(name, default)
        if value is _REQUIRED:
            raise ValueError(
                f"{self._owner}: {name} is missing; it has no official default"
            )
        # Arrays have no truth value, and lists no hash.
        known = supported is None or (np.isscalar(value) and value in supported)
        if not known:
            raise ValueError(
                f"{self._owner}: {name}={value!r} is not supported; supported are "
                f"{list(supported)}"
            )
        return value

    def count(
        self, name: str, default: Any = _REQUIRED, optional: bool = False
    ) -> int | None:
        """`take` for a size: any kind of whole number, or None if `optional`."""
        value = self.take(name, default)
        if value is None and optional:
            return None
        if not is_number(value) or int(value) != value or value < 0:
            raise ValueError(
                f"{self._owner}: {name}={value!r} must be a whole number"
                + (" or None" if optional else "")
            )
        return int(value)

    def number(
        self, name: str, default: Any = _REQUIRED, optional: bool = False
    ) -> float | None:
        """`take` for a number from 0 up, or None if `optional`."""
        value = self.take(name, default)
        if value is None and optional:
            return None
        if not is_number(value) or value < 0:
            raise ValueError(
                f"{self._owner}: {name}={value!r} must be a number from 0 up"
                + (" or None" if optional else "")
            )
        return float(value)

    def nested(self, name: str, ignored: Collection[str] = ()) -> "Arguments":
        """Arguments that are a dict of their own, empty by default.

        Args:
          name: of the dict.
          ignored: see `Arguments`; names in the dict.

        Raises:
          ValueError: the value is not a dict.
        """
        value = self.take(name, {})
        if not isinstance(value, Mapping):
            raise ValueError(f"{self._owner}: {name}={value!r} must be a dict")
        return Arguments(value, f"{self._owner}, {name}", ignored)

    def done(self) -> None:
        """Raises ValueError naming the arguments that nobody took."""
        if self._left:
            raise ValueError(
                f"{self._owner}: unknown or unsupported argument(s) "
                f"{sorted(self._left)}; known are {sorted(self._known)}"
            )


def is_number(value: Any) -> bool:
    """Whether it is a finite number of Python's or numpy's."""
    return (
        isinstance(value, (int, float, np.integer, np.floating))
        and not isinstance(value, bool)
        and abs(value) <= sys.float_info.max
    )
