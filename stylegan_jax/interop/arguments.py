"""Reads the keyword arguments of an official constructor, leaving none unread."""

from collections.abc import Collection, Mapping
from typing import Any


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
        self, name: str, default: Any, supported: Collection[Any] | None = None
    ) -> Any:
        """The value of an argument, or the official default.

        Raises:
          ValueError: the value is not among those `supported`.
        """
        self._known.add(name)
        value = self._left.pop(name, default)
        if supported is not None and value not in supported:
            raise ValueError(
                f"{self._owner}: {name}={value!r} is not supported; supported are "
                f"{list(supported)}"
            )
        return value

    def count(self, name: str, default: int) -> int:
        """`take` for a size; any kind of whole number serves."""
        value = self.take(name, default)
        if isinstance(value, bool) or int(value) != value:
            raise ValueError(f"{self._owner}: {name}={value!r} must be a whole number")
        return int(value)

    def done(self) -> None:
        """Raises ValueError naming the arguments that nobody took."""
        if self._left:
            raise ValueError(
                f"{self._owner}: unknown or unsupported argument(s) "
                f"{sorted(self._left)}; known are {sorted(self._known)}"
            )
